/* The C interface as a C program sees it: every function, every kind of wrong argument. Prints nothing but what fails.
 *
 *   interface FOLDER-OF-GOLDEN-ARCHIVES
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tmpack.h"

static int failures;
static tmpk_error error;

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      failures++;                                                              \
      fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, error.text ? error.text : "no error"); \
    }                                                                          \
    tmpk_error_clear(&error);                                                  \
  } while (0)

static int reading(void *context, uint64_t offset, void *buffer, uint64_t count) {
  return pread(*(int *)context, buffer, count, (off_t)offset) == (ssize_t)count ? 0 : 1;
}
static int failing(void *context, uint64_t offset, void *buffer, uint64_t count) {
  (void)context, (void)offset, (void)buffer, (void)count;
  return 7;
}
static int releases;
static void releasing(void *context) {
  (void)context;
  releases++;
}

/* All that there is, in one buffer a tensor. */
static void read_all(tmpk_mix *mix) {
  size_t count = 0;
  CHECK(tmpk_tensor_count(mix, &count, &error) == TMPK_OK && count > 0);
  tmpk_target *targets = calloc(count, sizeof *targets);
  for (size_t i = 0; i < count; i++) {
    tmpk_tensor tensor;
    CHECK(tmpk_tensor_at(mix, i, &tensor, &error) == TMPK_OK);
    size_t place;
    CHECK(tmpk_tensor_named(mix, tensor.name, &place, &error) == TMPK_OK && place == i);
    targets[i] = (tmpk_target){i, malloc(tensor.byte_count + 1), tensor.byte_count};
  }
  CHECK(tmpk_mix_read(mix, targets, count, NULL, &error) == TMPK_OK);
  for (size_t i = 0; i < count; i++) {
    uint64_t half = targets[i].byte_count / 2;
    char *part = malloc(half + 1);
    CHECK(tmpk_mix_read_part(mix, i, half, part, targets[i].byte_count - half > half ? half : targets[i].byte_count - half, &error) == TMPK_OK);
    CHECK(memcmp(part, (char *)targets[i].buffer + half, targets[i].byte_count - half > half ? half : targets[i].byte_count - half) == 0);
    free(part);
    CHECK(tmpk_mix_read_part(mix, i, targets[i].byte_count, NULL, 0, &error) == TMPK_OK);
    CHECK(tmpk_mix_read_part(mix, i, 1, targets[i].buffer, targets[i].byte_count, &error) == TMPK_INVALID_ARGUMENT);
    CHECK(tmpk_mix_read_part(mix, i, UINT64_MAX, targets[i].buffer, UINT64_MAX, &error) == TMPK_INVALID_ARGUMENT);
  }
  int32_t cancel = 1;
  tmpk_read_options options = {.size = sizeof options, .cancel = &cancel};
  CHECK(tmpk_mix_read(mix, targets, count, &options, &error) == TMPK_CANCELLED);
  options = (tmpk_read_options){.size = sizeof options, .threads = 1};
  CHECK(tmpk_mix_read(mix, targets, count, &options, &error) == TMPK_OK);
  options.threads = 1u << 30;
  CHECK(tmpk_mix_read(mix, targets, count, &options, &error) == TMPK_LIMIT_EXCEEDED);
  tmpk_target wrong = targets[0];
  wrong.tensor = SIZE_MAX;
  CHECK(tmpk_mix_read(mix, &wrong, 1, NULL, &error) == TMPK_INVALID_ARGUMENT);
  wrong = targets[0];
  wrong.byte_count++;
  CHECK(tmpk_mix_read(mix, &wrong, 1, NULL, &error) == TMPK_INVALID_ARGUMENT);
  wrong = targets[0];
  wrong.buffer = NULL;
  CHECK(tmpk_mix_read(mix, &wrong, 1, NULL, &error) == (wrong.byte_count ? TMPK_INVALID_ARGUMENT : TMPK_OK));
  CHECK(tmpk_mix_read(mix, NULL, 3, NULL, &error) == TMPK_INVALID_ARGUMENT);
  CHECK(tmpk_mix_read(mix, targets, SIZE_MAX, NULL, &error) == TMPK_INVALID_ARGUMENT);
  tmpk_tensor tensor;
  CHECK(tmpk_tensor_at(mix, count, &tensor, &error) == TMPK_INVALID_ARGUMENT);
  CHECK(tmpk_tensor_at(mix, 0, NULL, &error) == TMPK_INVALID_ARGUMENT);
  size_t place;
  CHECK(tmpk_tensor_named(mix, "no such tensor", &place, &error) == TMPK_UNKNOWN_NAME);
  CHECK(tmpk_tensor_named(mix, "\xff", &place, &error) == TMPK_INVALID_ARGUMENT);
  CHECK(tmpk_tensor_named(mix, NULL, &place, &error) == TMPK_INVALID_ARGUMENT);
  char *json;
  CHECK(tmpk_mix_describe(mix, &json, &error) == TMPK_OK && json[0] == '{');
  tmpk_free(json);
  tmpk_range *ranges;
  size_t range_count;
  CHECK(tmpk_mix_ranges(mix, NULL, 0, &ranges, &range_count, &error) == TMPK_OK);
  tmpk_free(ranges);
  size_t some[] = {0, SIZE_MAX};
  CHECK(tmpk_mix_ranges(mix, some, 2, &ranges, &range_count, &error) == TMPK_INVALID_ARGUMENT);
  void *bytes;
  size_t byte_count;
  CHECK(tmpk_mix_file(mix, "no such file", &bytes, &byte_count, &error) == TMPK_UNKNOWN_NAME);
  uint64_t overflows;
  CHECK(tmpk_overflow_count(mix, &overflows, &error) == TMPK_OK && overflows == 0);
  for (size_t i = 0; i < count; i++) free(targets[i].buffer);
  free(targets);
}

static void use(tmpk_archive *archive) {
  size_t count = 0;
  CHECK(tmpk_expert_count(archive, &count, &error) == TMPK_OK && count > 0);
  tmpk_expert expert;
  CHECK(tmpk_expert_at(archive, count, &expert, &error) == TMPK_INVALID_ARGUMENT);
  CHECK(tmpk_expert_at(archive, 0, &expert, &error) == TMPK_OK);
  char *json;
  CHECK(tmpk_describe(archive, TMPK_LIST_TENSORS, &json, &error) == TMPK_OK);
  tmpk_free(json);
  CHECK(tmpk_describe(archive, ~0u, &json, &error) == TMPK_INVALID_ARGUMENT);
  CHECK(tmpk_describe(archive, 0, NULL, &error) == TMPK_INVALID_ARGUMENT);
  for (int level = TMPK_QUICK; level <= TMPK_DEEP; level++) {
    CHECK(tmpk_verify(archive, level, NULL, &json, &error) == TMPK_OK && strstr(json, "\"sound\":true"));
    tmpk_free(json);
  }
  int32_t cancel = 1;
  CHECK(tmpk_verify(archive, TMPK_DEEP, &cancel, &json, &error) == TMPK_CANCELLED);
  CHECK(tmpk_verify(archive, 9, NULL, &json, &error) == TMPK_INVALID_ARGUMENT);
  tmpk_mix *mix;
  tmpk_weight weights[] = {{expert.name, 1}, {expert.name, 1}};
  CHECK(tmpk_mix_open(archive, weights, 1, NULL, &mix, &error) == TMPK_OK);
  read_all(mix);
  tmpk_mix_close(mix);
  tmpk_mix_close(mix);
  size_t closed;
  CHECK(tmpk_tensor_count(mix, &closed, &error) == TMPK_INVALID_ARGUMENT);
  CHECK(tmpk_tensor_count((tmpk_mix *)archive, &closed, &error) == TMPK_INVALID_ARGUMENT);
  CHECK(tmpk_mix_open(archive, NULL, 0, NULL, &mix, &error) == TMPK_OK);
  read_all(mix);
  tmpk_mix_close(mix);
  CHECK(tmpk_mix_open(archive, weights, 2, NULL, &mix, &error) == TMPK_INVALID_ARGUMENT);
  weights[0] = (tmpk_weight){"no such expert", 1};
  CHECK(tmpk_mix_open(archive, weights, 1, NULL, &mix, &error) == TMPK_UNKNOWN_NAME && mix);
  weights[0] = (tmpk_weight){expert.name, NAN};
  CHECK(tmpk_mix_open(archive, weights, 1, NULL, &mix, &error) == TMPK_INVALID_ARGUMENT);
  weights[0] = (tmpk_weight){NULL, 1};
  CHECK(tmpk_mix_open(archive, weights, 1, NULL, &mix, &error) == TMPK_INVALID_ARGUMENT);
  weights[0] = (tmpk_weight){expert.name, 1};
  tmpk_mix_options options = {.size = sizeof options, .dtype = "I8"};
  CHECK(tmpk_mix_open(archive, weights, 1, &options, &mix, &error) == TMPK_INVALID_ARGUMENT);
  options = (tmpk_mix_options){.size = sizeof options, .names = 9};
  CHECK(tmpk_mix_open(archive, weights, 1, &options, &mix, &error) == TMPK_INVALID_ARGUMENT);
  options = (tmpk_mix_options){.size = 3};
  CHECK(tmpk_mix_open(archive, weights, 1, &options, &mix, &error) == TMPK_INVALID_ARGUMENT);
  /* A program of tomorrow: more options, of which those that are zero change nothing. */
  struct {
    tmpk_mix_options known;
    uint64_t more;
  } later = {{.size = sizeof later}, 0};
  CHECK(tmpk_mix_open(archive, weights, 1, &later.known, &mix, &error) == TMPK_OK);
  tmpk_mix_close(mix);
  later.more = 1;
  CHECK(tmpk_mix_open(archive, weights, 1, &later.known, &mix, &error) == TMPK_INVALID_ARGUMENT);
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  CHECK(tmpk_abi_version() == TMPK_ABI_VERSION && strlen(tmpk_version()) > 0);
  const char *names[] = {"layered", "tied", "frames", "corrections", "router", "files"};
  char path[4096];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s.tmpack", arguments[1], names[i]);
    for (uint64_t kept = 0; kept < 2; kept++) {
      tmpk_open_options options = {.size = sizeof options, .kept_bytes = kept ? UINT64_MAX : 0};
      tmpk_archive *archive;
      CHECK(tmpk_open(path, &options, &archive, &error) == TMPK_OK);
      use(archive);
      if (strcmp(names[i], "router")) {
        float number = 0;
        char *json;
        CHECK(tmpk_route(archive, &number, 1, 1, NULL, &json, &error) == TMPK_INVALID_ARGUMENT);
      }
      tmpk_close(archive);
      tmpk_close(archive);
    }
    FILE *file = fopen(path, "rb");
    fseek(file, 0, SEEK_END);
    int descriptor = fileno(file);
    tmpk_source source = {
        .size = sizeof source, .context = &descriptor, .byte_count = (uint64_t)ftell(file), .label = names[i],
        .read = reading, .release = releasing};
    tmpk_archive *archive;
    CHECK(tmpk_open_source(&source, NULL, &archive, &error) == TMPK_OK);
    use(archive);
    releases = 0;
    tmpk_close(archive);
    /* A helper thread that came too late to help may hold it still. */
    for (int waits = 0; waits < 1000 && !releases; waits++) usleep(10000);
    CHECK(releases == 1);
    source.read = failing;
    CHECK(tmpk_open_source(&source, NULL, &archive, &error) == TMPK_INPUT_OUTPUT && releases == 1);
    source.read = NULL;
    CHECK(tmpk_open_source(&source, NULL, &archive, &error) == TMPK_INVALID_ARGUMENT);
    fclose(file);
  }
  tmpk_archive *archive;
  CHECK(tmpk_open(NULL, NULL, &archive, &error) == TMPK_INVALID_ARGUMENT);
  CHECK(tmpk_open(path, NULL, NULL, &error) == TMPK_INVALID_ARGUMENT);
  CHECK(tmpk_open("/no/such/file", NULL, &archive, &error) == TMPK_NOT_FOUND && !strcmp(error.file, "/no/such/file"));
  CHECK(tmpk_open(arguments[1], NULL, &archive, NULL) == TMPK_INVALID_ARGUMENT);
  tmpk_open_options options = {.size = sizeof options, .base = path};
  CHECK(tmpk_open(path, &options, &archive, &error) != TMPK_OK);
  tmpk_close(NULL);
  tmpk_mix_close(NULL);
  tmpk_free(NULL);
  tmpk_error_clear(NULL);
  return failures != 0;
}
