import TMPack
