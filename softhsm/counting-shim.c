/*
 * A PKCS#11 module for tests: SoftHSM2, with a record of what its keys were used on. It passes every call on unchanged, and appends
 * to $SOFTHSM2_CONF.uses a line for each key unwrapped and each CKM_ECDH1_DERIVE that succeeded:
 *
 *   initialise 0            (handles are given anew from here on)
 *   unwrap <key> <wrapped key, hexadecimal>
 *   derive <key> <public data, hexadecimal>
 *
 * So tests count evaluations where they happen, whatever the daemon believes. Without PKCS#11 headers: only the layout of the
 * function list and of four structures matters (PKCS#11 2.40, §3; on Unix nothing is packed).
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
typedef ulong (*unwrap_function)(ulong, struct mechanism *, ulong, byte *, ulong, void *, ulong, ulong *);

/* CK_FUNCTION_LIST: 68 functions, in the order of the header. */
struct function_list { byte version[2]; void *functions[68]; };
enum { INITIALIZE = 0, UNWRAP_KEY = 61, DERIVE_KEY = 62 };
enum { ECDH1_DERIVE = 0x1050, OK = 0, GENERAL_ERROR = 5 };

static struct function_list *original;
static struct function_list ours;

/* One write for each line, to a file opened for appending: lines of several threads and processes do not mix. */
static int note(const char *verb, ulong key, const byte *data, ulong length) {
  char path[4096], line[4096];
  const char *conf = getenv("SOFTHSM2_CONF");
  int used = snprintf(line, sizeof line, "%s %lu ", verb, key);
  if (!conf || snprintf(path, sizeof path, "%s.uses", conf) >= (int)sizeof path) return 0;
  if (2 * length + 2 > sizeof line - used) return 0;
  for (ulong i = 0; i < length; i++) used += sprintf(line + used, "%02x", data[i]);
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
  return note("derive", base, ecdh->public_data, ecdh->public_length) ? OK : GENERAL_ERROR;
}

static ulong unwrap_key(ulong session, struct mechanism *mechanism, ulong kek, byte *wrapped, ulong length, void *template, ulong count,
                        ulong *key) {
  ulong result = ((unwrap_function)original->functions[UNWRAP_KEY])(session, mechanism, kek, wrapped, length, template, count, key);
  if (result != OK) return result;
  return note("unwrap", *key, wrapped, length) ? OK : GENERAL_ERROR;
}

static ulong initialize(void *arguments) {
  ulong result = ((ulong(*)(void *))original->functions[INITIALIZE])(arguments);
  if (result != OK) return result;
  return note("initialise", 0, NULL, 0) ? OK : GENERAL_ERROR;
}

ulong C_GetFunctionList(struct function_list **list) {
  void *library = dlopen(MODULE, RTLD_NOW);
  if (!library) return GENERAL_ERROR;
  ulong (*get)(struct function_list **) = (ulong(*)(struct function_list **))dlsym(library, "C_GetFunctionList");
  if (!get || get(&original) != OK) return GENERAL_ERROR;
  ours = *original;
  ours.functions[INITIALIZE] = initialize;
  ours.functions[UNWRAP_KEY] = unwrap_key;
  ours.functions[DERIVE_KEY] = derive_key;
  *list = &ours;
  return OK;
}
