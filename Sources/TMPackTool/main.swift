print("tmpack")
