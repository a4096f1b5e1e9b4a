/*
 * A PKCS#11 module in front of another: each call that uses a key or the random generator takes 100 ms more.
 * Built by slow-token.ts with MODULE, the module behind, and SOFTHSM, its configuration: the token process inherits no environment.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* CK_FUNCTION_LIST of PKCS#11 2.40 §3.6: the version, padded to a pointer, then 68 functions in a fixed order */
#define FUNCTIONS 68
typedef unsigned long rv;
/* No function of the list takes more than 8 arguments, all of them as wide as a register. */
typedef rv (*call)(void *, void *, void *, void *, void *, void *, void *, void *);
struct list { void *version; call function[FUNCTIONS]; };

static struct list behind, slow;

static void wait_100_ms(void) {
  struct timespec pause = {0, 100000000};
  while (nanosleep(&pause, &pause) != 0);
}

#define SLOW(n) static rv slow_##n(void *a, void *b, void *c, void *d, void *e, void *f, void *g, void *h) { \
  wait_100_ms(); return behind.function[n - 1](a, b, c, d, e, f, g, h); }
SLOW(31) SLOW(35) SLOW(44) SLOW(50) SLOW(59) SLOW(60) SLOW(61) SLOW(62) SLOW(63) SLOW(65)
#define PUT(n) slow.function[n - 1] = slow_##n;

rv C_GetFunctionList(struct list **out) {
  setenv("SOFTHSM2_CONF", SOFTHSM, 1);
  void *module = dlopen(MODULE, RTLD_NOW);
  rv (*get)(struct list **) = module ? (rv (*)(struct list **))dlsym(module, "C_GetFunctionList") : NULL;
  struct list *found;
  if (get == NULL || get(&found) != 0) return 5; /* CKR_GENERAL_ERROR */
  memcpy(&behind, found, sizeof behind);
  memcpy(&slow, found, sizeof slow);
  /* Encrypt, Decrypt, Sign, Verify, GenerateKey, GenerateKeyPair, WrapKey, UnwrapKey, DeriveKey, GenerateRandom */
  PUT(31) PUT(35) PUT(44) PUT(50) PUT(59) PUT(60) PUT(61) PUT(62) PUT(63) PUT(65)
  *out = &slow;
  return 0;
}
