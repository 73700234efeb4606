/* Rebuilds a mix of an archive's experts and prints the first numbers of each tensor.
 *
 *   cc -Iinclude Examples/C/read.c -L. -ltmpack -o read
 *   ./read zoo.tmpack math 0.7 code 0.3
 */
#include <stdio.h>
#include <stdlib.h>

#include "tmpack.h"

static int failed(tmpk_error *error) {
  fprintf(stderr, "read: %s\n", error->text);
  int code = error->code;
  tmpk_error_clear(error);
  return code;
}

int main(int count, char **arguments) {
  if (count < 2 || count % 2) {
    fprintf(stderr, "usage: read ARCHIVE [EXPERT WEIGHT]...\n");
    return 64;
  }
  tmpk_error error = {0};
  tmpk_archive *archive;
  if (tmpk_open(arguments[1], NULL, &archive, &error)) return failed(&error);

  size_t weight_count = (size_t)(count - 2) / 2;
  tmpk_weight *weights = calloc(weight_count + 1, sizeof *weights);
  for (size_t i = 0; i < weight_count; i++) {
    weights[i].expert = arguments[2 + 2 * i];
    weights[i].weight = strtof(arguments[3 + 2 * i], NULL);
  }
  tmpk_mix_options options = {.size = sizeof options, .dtype = "F32"};
  tmpk_mix *mix;
  int code = tmpk_mix_open(archive, weights, weight_count, &options, &mix, &error);
  free(weights);
  /* The mix keeps what it needs. */
  tmpk_close(archive);
  if (code) return failed(&error);

  size_t tensor_count = 0;
  tmpk_tensor_count(mix, &tensor_count, NULL);
  for (size_t i = 0; i < tensor_count; i++) {
    tmpk_tensor tensor;
    tmpk_tensor_at(mix, i, &tensor, NULL);
    float *numbers = malloc(tensor.byte_count + 1);
    tmpk_target target = {.tensor = i, .buffer = numbers, .byte_count = tensor.byte_count};
    if (tmpk_mix_read(mix, &target, 1, NULL, &error)) {
      free(numbers);
      tmpk_mix_close(mix);
      return failed(&error);
    }
    printf("%s %s", tensor.name, tensor.dtype);
    if (tensor.dtype[0] == 'F' && tensor.dtype[1] == '3')
      for (uint64_t j = 0; j < 4 && j < tensor.byte_count / 4; j++) printf(" %g", numbers[j]);
    printf("\n");
    free(numbers);
  }
  tmpk_mix_close(mix);
  return 0;
}
