/*
 * A PKCS#11 module for tests: SoftHSM2, with a record of what its keys were used on. It passes every call on unchanged, and appends
 * to $SOFTHSM2_CONF.uses a line for each C_Sign and each CKM_ECDH1_DERIVE that succeeded:
 *
 *   sign <session> <data, hexadecimal> <signature or MAC>
 *   derive <session> <public data>
 *
 * So tests count evaluations where they happen, whatever the daemon believes: a derivation belongs to the tweak whose HMAC its session
 * asked for just before. Without PKCS#11 headers: only the layout of the function list and of two structures matters (PKCS#11 2.40, §3; on
 * Unix nothing is packed).
 *
 *   cc -shared -fPIC -DMODULE='"/usr/lib/softhsm/libsofthsm2.so"' -o counting-shim.so counting-shim.c -ldl
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong;
typedef unsigned char byte;

struct mechanism { ulong type; void *parameter; ulong length; };
struct ecdh { ulong kdf; ulong shared_length; byte *shared; ulong public_length; byte *public_data; };

typedef ulong (*derive_function)(ulong, struct mechanism *, ulong, void *, ulong, ulong *);
typedef ulong (*sign_function)(ulong, byte *, ulong, byte *, ulong *);

/* CK_FUNCTION_LIST: 68 functions, in the order of the header. */
struct function_list { byte version[2]; void *functions[68]; };
enum { SIGN = 43, DERIVE_KEY = 62 };
enum { ECDH1_DERIVE = 0x1050, OK = 0, GENERAL_ERROR = 5 };

static struct function_list *original;
static struct function_list ours;

static int append(char *line, int used, int size, const byte *data, ulong length) {
  if (2 * length + 2 > (ulong)(size - used)) return 0;
  line[used++] = ' ';
  for (ulong i = 0; i < length; i++) used += sprintf(line + used, "%02x", data[i]);
  return used;
}

/* One write for each line, to a file opened for appending: lines of several threads and processes do not mix. */
static int note(const char *verb, ulong session, const byte *data, ulong length, const byte *result, ulong result_length) {
  char path[4096], line[4096];
  const char *conf = getenv("SOFTHSM2_CONF");
  if (!conf || snprintf(path, sizeof path, "%s.uses", conf) >= (int)sizeof path) return 0;
  int used = append(line, snprintf(line, sizeof line, "%s %lu", verb, session), sizeof line, data, length);
  if (used && result) used = append(line, used, sizeof line, result, result_length);
  if (!used) return 0;
  line[used++] = '\n';
  int file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (file < 0) return 0;
  int written = write(file, line, used) == used;
  return close(file) == 0 && written;
}

/* A use that cannot be recorded is refused: a test must not count too few. */
static ulong derive_key(ulong session, struct mechanism *mechanism, ulong base, void *template, ulong count, ulong *key) {
  ulong result = ((derive_function)original->functions[DERIVE_KEY])(session, mechanism, base, template, count, key);
  if (result != OK || mechanism->type != ECDH1_DERIVE) return result;
  struct ecdh *ecdh = mechanism->parameter;
  return note("derive", session, ecdh->public_data, ecdh->public_length, NULL, 0) ? OK : GENERAL_ERROR;
}

static ulong sign(ulong session, byte *data, ulong length, byte *signature, ulong *signature_length) {
  ulong result = ((sign_function)original->functions[SIGN])(session, data, length, signature, signature_length);
  if (result != OK || !signature) return result;
  return note("sign", session, data, length, signature, *signature_length) ? OK : GENERAL_ERROR;
}

ulong C_GetFunctionList(struct function_list **list) {
  void *library = dlopen(MODULE, RTLD_NOW);
  if (!library) return GENERAL_ERROR;
  ulong (*get)(struct function_list **) = (ulong(*)(struct function_list **))dlsym(library, "C_GetFunctionList");
  if (!get || get(&original) != OK) return GENERAL_ERROR;
  ours = *original;
  ours.functions[SIGN] = sign;
  ours.functions[DERIVE_KEY] = derive_key;
  *list = &ours;
  return OK;
}
