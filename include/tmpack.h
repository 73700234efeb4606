/* tmpack.h: read tmpack archives from C, or from anything that calls C.
 *
 * An archive holds one shared model and what makes each of its experts out of it. This library opens it, rebuilds an expert or a
 * weighted mix of experts tensor by tensor in the caller's memory, asks its router, verifies it. It writes nothing.
 *
 *   tmpk_archive *archive;
 *   tmpk_error error = {0};
 *   if (tmpk_open("zoo.tmpack", NULL, &archive, &error)) { fprintf(stderr, "%s\n", error.text); … }
 *   tmpk_weight weights[] = {{"math", 0.7f}, {"code", 0.3f}};
 *   tmpk_mix *mix;
 *   tmpk_mix_open(archive, weights, 2, NULL, &mix, &error);
 *
 * Results. A function that can fail returns a tmpk_code, 0 for success, and fills the error if one is given: pass NULL, or an error that
 * is all zeros or was cleared. Output parameters are set only on success. No input makes the library trap, exit or print.
 *
 * Ownership. What a function gives is the caller's, to be freed with tmpk_free, tmpk_error_clear or the close function that belongs to
 * it; exceptions say so. Strings are UTF-8 and end with a zero byte; those that are passed in are copied. A handle is a number, not an
 * address: one that is closed, or never was, is the error invalid-argument. A mix keeps what it needs of its archive, which may be closed before it.
 *
 * Threads. Every function may be called by several threads at once, on the same handles, too; a handle that is closed while others use it
 * goes when they are done. Work is done on the caller's thread and on helpers that end with the call. No signal handler is installed.
 *
 * fork. A child may use what the parent has opened, with one thread a call, unless a thread of the parent was inside a call on the same
 * handle when it forked: then the child gets invalid-argument and has to open its own.
 *
 * Files are read, not mapped: one that is cut short while it is open is the error truncated, not a signal.
 */
#ifndef TMPACK_H
#define TMPACK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with every addition; what was there keeps its meaning as long as tmpk_abi_version() >> 16 is the same. */
#define TMPK_ABI_VERSION 0x00010000u

uint32_t tmpk_abi_version(void);
/* Of tmpack, such as "0.2.0". Static. */
const char *tmpk_version(void);

/* What went wrong; the names are those of the tool's --json. Numbers are never given a new meaning, and there may be more. */
typedef int32_t tmpk_code;
enum {
  TMPK_OK = 0,
  /* The caller asked for what cannot be. */
  TMPK_INVALID_ARGUMENT = 1,
  TMPK_UNKNOWN_NAME = 2,
  TMPK_OUTPUT_EXISTS = 3,
  TMPK_BASE_MISMATCH = 4,
  TMPK_NON_FINITE = 5,
  TMPK_SHAPE_MISMATCH = 6,
  /* The file is damaged, or breaks the rules of its format. */
  TMPK_TRUNCATED = 16,
  TMPK_MALFORMED = 17,
  TMPK_DIGEST_MISMATCH = 18,
  TMPK_UNKNOWN_FORMAT = 19,
  TMPK_SIGNATURE_MISMATCH = 20,
  /* The file is sound, and not for this build. */
  TMPK_UNSUPPORTED_VERSION = 32,
  TMPK_UNSUPPORTED_FEATURE = 33,
  /* The system, or the source's callback, said no. */
  TMPK_NOT_FOUND = 48,
  TMPK_INPUT_OUTPUT = 49,
  TMPK_CANCELLED = 50,
  TMPK_OUT_OF_MEMORY = 51,
  /* A declared size is above a limit (Spec/format.md, section 9). */
  TMPK_LIMIT_EXCEEDED = 64
};

typedef struct {
  tmpk_code code;
  /* Of the code, such as "digest-mismatch". Static. */
  const char *name;
  /* What is wrong, without the place. */
  char *message;
  /* The place and the message, for people. */
  char *text;
  /* The place: NULL, or -1, where it is not known or does not apply. */
  char *file;
  char *expert;
  char *tensor;
  int64_t offset;
} tmpk_error;

/* Frees what a filled error has, and makes it all zeros. */
void tmpk_error_clear(tmpk_error *error);
/* Frees texts, bytes and lists that functions give. */
void tmpk_free(void *memory);

typedef struct tmpk_archive tmpk_archive;
typedef struct tmpk_mix tmpk_mix;

/* MARK: archives */

/* Options are structs whose first member is their size, so that a program that was built with an older header goes on working. All zeros
 * but for the size are the defaults; NULL stands for those. */
typedef struct {
  uint32_t size;
  uint32_t reserved;
  /* The shared model of a detached archive: a file, a folder, or a model's name in the Hugging Face cache. */
  const char *base;
  /* Bytes of decoded factors, shared and own tensors that are kept, so that the next mix reads and decodes less; 0 keeps none, which is
   * the least memory for loading once. */
  uint64_t kept_bytes;
} tmpk_open_options;

/* Opens an archive. Reads and checks the header and the index, and of the base its header. */
tmpk_code tmpk_open(const char *path, const tmpk_open_options *options, tmpk_archive **archive, tmpk_error *error);

/* Where an archive is read from, if not from a file. */
typedef struct {
  uint32_t size;
  uint32_t reserved;
  /* Passed to the callbacks. */
  void *context;
  /* Of all bytes. */
  uint64_t byte_count;
  /* What messages call it. */
  const char *label;
  /* Fills the buffer with so many bytes from the offset on, all within byte_count. Returns 0, or anything else for a failure, which becomes
   * the error input-output. Is called by several threads at once. */
  int32_t (*read)(void *context, uint64_t offset, void *buffer, uint64_t count);
  /* Called once, when nothing is going to be read any more: by any thread, maybe shortly after the archive and its mixes are closed. It may be
   * NULL. Not called where tmpk_open_source fails. */
  void (*release)(void *context);
} tmpk_source;

tmpk_code tmpk_open_source(
    const tmpk_source *source, const tmpk_open_options *options, tmpk_archive **archive, tmpk_error *error);

/* NULL and handles that are not open do no harm. */
void tmpk_close(tmpk_archive *archive);

typedef struct {
  /* Valid as long as the archive is open. */
  const char *name;
  /* That it takes in the archive. */
  uint64_t byte_count;
  uint64_t tensor_count;
  uint64_t parameter_count;
  /* ‖v − decoded‖ ÷ ‖v‖ over all tensors that are stored with loss; -1 for an expert without any. */
  double error;
} tmpk_expert;

tmpk_code tmpk_expert_count(tmpk_archive *archive, size_t *count, tmpk_error *error);
/* The experts, in the order of the archive. */
tmpk_code tmpk_expert_at(tmpk_archive *archive, size_t index, tmpk_expert *expert, tmpk_error *error);

/* Also lists the tensors of all experts: tmpk_describe. */
#define TMPK_LIST_TENSORS 1u

/* What `tmpack inspect --json` prints (Spec/json.md). */
tmpk_code tmpk_describe(tmpk_archive *archive, uint32_t flags, char **json, tmpk_error *error);

/* Every byte of the file of the archive is read and compared with the digests: TMPK_FULL. */
enum { TMPK_QUICK = 0, TMPK_FULL = 1, TMPK_DEEP = 2 };

/* Checks the archive. What is wrong with it is in the report, not an error: what `tmpack verify --json` prints (Spec/json.md).
 *
 * cancel: NULL, or a number that another thread may set to something else than 0 to end the call with the error cancelled. */
tmpk_code tmpk_verify(
    tmpk_archive *archive, int32_t level, const volatile int32_t *cancel, char **json, tmpk_error *error);

/* MARK: the router */

typedef struct {
  uint32_t size;
  /* Inputs that get weights together: 0 for each by itself, else so many in their order; UINT32_MAX for all. */
  uint32_t group;
  /* What logits are divided by; 0 takes the router's own. */
  double temperature;
  /* Experts that are less probable get weight 0. */
  double threshold;
  /* Experts that keep a weight, the most probable ones; 0 keeps all. */
  uint32_t top;
  /* The shared model alone is taken above this normalised entropy, 0 to 1: 0 as the router stores it, 1 above fallback_entropy, 2 never. */
  uint32_t fallback;
  double fallback_entropy;
} tmpk_route_options;

/* Has the archive's router look at embeddings: rows × dimension numbers, row by row. Gives an object with "classes" and "groups", of which each
 * has "rows" ([first, one past the last]), "probabilities", "weights" (numbers in the order of the classes), "entropy" and "fell_back". */
tmpk_code tmpk_route(
    tmpk_archive *archive, const float *embeddings, size_t rows, size_t dimension, const tmpk_route_options *options,
    char **json, tmpk_error *error);

/* MARK: mixes */

typedef struct {
  const char *expert;
  /* Used as it is: weights are not normalised. */
  float weight;
} tmpk_weight;

/* What tensors are called (Spec/names.md). */
enum {
  /* As in the checkpoint that an expert alone came from. */
  TMPK_NAMES_SOURCE = 0,
  TMPK_NAMES_BASE = 1,
  /* As in the memory of transformers 5, with the matrices of experts in stacks. */
  TMPK_NAMES_TRANSFORMERS_5 = 2
};

typedef struct {
  uint32_t size;
  /* One expert of weight 1, to the bit: for archives that were packed with --exact. */
  uint32_t is_exact;
  int32_t names;
  uint32_t reserved;
  /* Of floating-point tensors: "F64", "F32", "F16" or "BF16"; NULL leaves each its own. */
  const char *dtype;
} tmpk_mix_options;

/* θ = shared + Σ weight · expert. No weights, or only zeros, give the shared model. Reads the manifests of the experts, no tensor yet. */
tmpk_code tmpk_mix_open(
    tmpk_archive *archive, const tmpk_weight *weights, size_t count, const tmpk_mix_options *options, tmpk_mix **mix,
    tmpk_error *error);

/* NULL and handles that are not open do no harm. */
void tmpk_mix_close(tmpk_mix *mix);

/* How a tensor comes about. */
enum {
  /* The shared model's, bit for bit. */
  TMPK_SHARED = 0,
  /* One expert's own. */
  TMPK_OWN = 1,
  /* The shared model's and what experts add to it. */
  TMPK_SUM = 2
};

typedef struct {
  /* Valid as long as the mix is open, and so is shape. */
  const char *name;
  /* safetensors' name of it, such as "BF16". Static. */
  const char *dtype;
  const uint64_t *shape;
  uint32_t rank;
  int32_t origin;
  uint64_t byte_count;
} tmpk_tensor;

tmpk_code tmpk_tensor_count(tmpk_mix *mix, size_t *count, tmpk_error *error);
/* The tensors, in the order of the bytes of their names. */
tmpk_code tmpk_tensor_at(tmpk_mix *mix, size_t index, tmpk_tensor *tensor, tmpk_error *error);
tmpk_code tmpk_tensor_named(tmpk_mix *mix, const char *name, size_t *index, tmpk_error *error);

/* All of that at once, for bindings: an object with "tensors" (arrays of name, dtype, shape, byte_count, origin), "metadata" (strings),
 * "files" (objects of name and bytes), "notes". */
tmpk_code tmpk_mix_describe(tmpk_mix *mix, char **json, tmpk_error *error);

typedef struct {
  size_t tensor;
  /* Room for exactly the tensor's bytes: little-endian elements, row by row. Any alignment. */
  void *buffer;
  uint64_t byte_count;
} tmpk_target;

typedef struct {
  uint32_t size;
  /* That work at once; 0 for one a core that the process may use. */
  uint32_t threads;
  /* See tmpk_verify. */
  const volatile int32_t *cancel;
} tmpk_read_options;

/* Rebuilds tensors in the caller's memory, on several threads. On an error, buffers hold anything: what is wrong with a tensor may be known
 * only when all of it was read. No two targets may overlap.
 *
 * Memory: where nothing is kept, a few MiB a thread and the decoded factors of a few tensors at a time. */
tmpk_code tmpk_mix_read(
    tmpk_mix *mix, const tmpk_target *targets, size_t count, const tmpk_read_options *options, tmpk_error *error);

/* Some bytes of a tensor, from `first` on, within it. What is decoded for it beyond them is lost where nothing is kept. */
tmpk_code tmpk_mix_read_part(
    tmpk_mix *mix, size_t tensor, uint64_t first, void *buffer, uint64_t byte_count, tmpk_error *error);

/* How many numbers became infinite so far because they were too large for the dtype that was asked for. */
tmpk_code tmpk_overflow_count(tmpk_mix *mix, uint64_t *count, tmpk_error *error);

typedef struct {
  uint64_t offset;
  uint64_t byte_count;
} tmpk_range;

/* The bytes of the archive that are read for these tensors (NULL: for all), ascending, each once: for who fetches ahead. None
   for a mix of experts that are decoded before they are mixed: these are read as they are needed. */
tmpk_code tmpk_mix_ranges(
    tmpk_mix *mix, const size_t *tensors, size_t count, tmpk_range **ranges, size_t *range_count, tmpk_error *error);

/* A non-tensor file that goes with the mix, such as "config.json", checked by digest. */
tmpk_code tmpk_mix_file(tmpk_mix *mix, const char *name, void **bytes, size_t *byte_count, tmpk_error *error);

#ifdef __cplusplus
}
#endif

#endif
