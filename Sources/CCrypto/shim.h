// The digest functions themselves: those behind EVP look for providers and a configuration first, which every start of the
// tool would pay for. Signatures are behind EVP only.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>
