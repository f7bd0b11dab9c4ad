/*
 * A PKCS#11 module for tests: the module named by $FAULT_SHIM_MODULE, with the faults that the file $FAULT_SHIM_CONTROL asks for while
 * it runs ($SOFTHSM2_CONF.faults unless set). Without that file, or with an empty one, it passes every call on unchanged. Put a new file
 * in place by rename; one directive a line:
 *
 *   latency MICROSECONDS        each call takes at least this long, the module's own time included
 *   hang                        calls wait until the file changes
 *   fail CKR [FUNCTION ...]     the calls named answer CKR (0x30), all but C_Initialize, C_Finalize and C_GetInfo if none is named
 *   fail-marked CKR             C_Sign of data that begins with MMMMMMMM (8 times 0x4d) answers CKR
 *   truncate                    a key’s value of 32 bytes reads as one of 31
 *   garble                      its last bit reads as its opposite: of an x, mostly no point of the curve is left
 *   swap                        ECDH1_DERIVE is done with 2·G in place of the point that was given
 *   cannot-lock                 C_Initialize with CKF_OS_LOCKING_OK answers CANT_LOCK
 *   vanish                      no slot holds a token, sessions are gone; lifted, the token is back at the next C_Initialize
 *   close-sessions              once: every session of the application is closed
 *   log-out                     once: the user is logged out, as by another thread of the application
 *   hide-mechanism NUMBER       not listed, and C_GetMechanismInfo does not know it
 *   deny-kdf NUMBER             ECDH1_DERIVE with this key derivation function (1: CKD_NULL) answers MECHANISM_PARAM_INVALID
 *   deny CKR FUNCTION mechanism NUMBER   the function answers CKR to this mechanism
 *   deny CKR FUNCTION ATTRIBUTE VALUE    the function answers CKR to a template, of a key pair either, that has this attribute with this value
 *   deny CKR FUNCTION without ATTRIBUTE  the function answers CKR to a template that does not have this attribute
 *   deny CKR FUNCTION point LENGTH       C_DeriveKey answers CKR to a point of this many bytes, C_CreateObject to such a CKA_EC_POINT
 *   raw-points                  CKA_EC_POINT is the bare point, given and taken
 *   hmac-dialect MECHANISM      keys for HMAC are CKK_SHA256_HMAC, and made by this mechanism instead of GENERIC_SECRET_KEY_GEN
 *   misread ATTRIBUTE           of objects in the token, a boolean reads as its opposite
 *   lax-points                  C_DeriveKey with a point that the module refuses gives what it gives for the generator
 *   at FUNCTION N log-out       just before the Nth call from now on (0: before each), the user is logged out
 *   at FUNCTION N litter        just before it, a token object is made that nobody asked for
 *   at FUNCTION N crash         instead of it, the process dies of SIGSEGV
 *   at FUNCTION N hang          instead of it, the call waits until the file changes
 *
 * It counts calls, those of every process together, in the file $FAULT_SHIM_CONTROL.calls: 64-bit numbers, first of all calls, then of each
 * function in the order below. Without PKCS#11 headers: only the layout of the function list and of a few structures matters (PKCS#11 2.40,
 * §3; on Unix nothing is packed), and that a function may be called with more words than it takes (so in the C ABIs of x86-64 and arm64).
 *
 *   cc -std=gnu11 -shared -fPIC -o fault-shim.so fault-shim.c -ldl -lpthread
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long ulong;

/* CK_FUNCTION_LIST: 68 functions, in the order of the header. */
#define FUNCTIONS(X) \
  X(0, Initialize) X(1, Finalize) X(2, GetInfo) X(3, GetFunctionList) X(4, GetSlotList) X(5, GetSlotInfo) X(6, GetTokenInfo) \
  X(7, GetMechanismList) X(8, GetMechanismInfo) X(9, InitToken) X(10, InitPIN) X(11, SetPIN) X(12, OpenSession) \
  X(13, CloseSession) X(14, CloseAllSessions) X(15, GetSessionInfo) X(16, GetOperationState) X(17, SetOperationState) \
  X(18, Login) X(19, Logout) X(20, CreateObject) X(21, CopyObject) X(22, DestroyObject) X(23, GetObjectSize) \
  X(24, GetAttributeValue) X(25, SetAttributeValue) X(26, FindObjectsInit) X(27, FindObjects) X(28, FindObjectsFinal) \
  X(29, EncryptInit) X(30, Encrypt) X(31, EncryptUpdate) X(32, EncryptFinal) X(33, DecryptInit) X(34, Decrypt) \
  X(35, DecryptUpdate) X(36, DecryptFinal) X(37, DigestInit) X(38, Digest) X(39, DigestUpdate) X(40, DigestKey) \
  X(41, DigestFinal) X(42, SignInit) X(43, Sign) X(44, SignUpdate) X(45, SignFinal) X(46, SignRecoverInit) X(47, SignRecover) \
  X(48, VerifyInit) X(49, Verify) X(50, VerifyUpdate) X(51, VerifyFinal) X(52, VerifyRecoverInit) X(53, VerifyRecover) \
  X(54, DigestEncryptUpdate) X(55, DecryptDigestUpdate) X(56, SignEncryptUpdate) X(57, DecryptVerifyUpdate) X(58, GenerateKey) \
  X(59, GenerateKeyPair) X(60, WrapKey) X(61, UnwrapKey) X(62, DeriveKey) X(63, SeedRandom) X(64, GenerateRandom) \
  X(65, GetFunctionStatus) X(66, CancelFunction) X(67, WaitForSlotEvent)

#define NUMBER(number, name) N_##name = number,
enum { FUNCTIONS(NUMBER) ALL };
#define NAME(number, name) "C_" #name,
static const char *const names[ALL] = {FUNCTIONS(NAME)};

#define WORDS ulong a, ulong b, ulong c, ulong d, ulong e, ulong f, ulong g, ulong h
typedef ulong (*function)(WORDS);
struct function_list { unsigned char version[2]; function functions[ALL]; };
struct mechanism { ulong type; void *parameter; ulong length; };
struct initialize_arguments { void *mutex_functions[4]; ulong flags; };
struct ecdh { ulong kdf, shared_length; unsigned char *shared; ulong public_length; unsigned char *public; };

enum { OK = 0, SLOT_ID_INVALID = 0x03, GENERAL_ERROR = 5, CANT_LOCK = 0x0a, DEVICE_REMOVED = 0x32, MECHANISM_INVALID = 0x70, MECHANISM_PARAM_INVALID = 0x71, TEMPLATE_INCONSISTENT = 0xd1 };
enum { SERIAL_SESSION = 4, ECDH1_DERIVE = 0x1050, MOST_HIDDEN = 16, MOST_DENIED = 32, CKA_TOKEN = 1, CKA_VALUE = 0x11, SECRET_KEY = 4, OS_LOCKING_OK = 2, CKA_EC_POINT = 0x181 };
enum { CKA_KEY_TYPE = 0x100, GENERIC_SECRET = 0x10, SHA256_HMAC_KEY = 0x2b, GENERIC_SECRET_KEY_GEN = 0x350 };

struct attribute { ulong type; void *value; ulong length; };
enum matter { ATTRIBUTE, WITHOUT, MECHANISM, POINT };
struct denial { ulong result, attribute, value; int function; enum matter matter; };
enum event { LOG_OUT, LITTER, CRASH, HANG, NOTHING };
static const char *const events[NOTHING] = {"log-out", "litter", "crash", "hang"};

struct faults {
  ulong latency, result[ALL], marked, hidden[MOST_HIDDEN], denied_kdf, once_at, dialect, misread;
  struct denial denied[MOST_DENIED];
  int hidden_count, denied_count, hangs, vanished, closes, logs_out, is_lax, is_raw, at, truncates, garbles, swaps, cannot_lock;
  enum event event;
};

/* 2·G, uncompressed, without its first byte (04). */
static const unsigned char twice_g[64] = {
  0x7c, 0xf2, 0x7b, 0x18, 0x8d, 0x03, 0x4f, 0x7e, 0x8a, 0x52, 0x38, 0x03, 0x04, 0xb5, 0x1a, 0xc3, 0xc0, 0x89, 0x69, 0xe2, 0x77, 0xf2,
  0x1b, 0x35, 0xa6, 0x0b, 0x48, 0xfc, 0x47, 0x66, 0x99, 0x78, 0x07, 0x77, 0x55, 0x10, 0xdb, 0x8e, 0xd0, 0x40, 0x29, 0x3d, 0x9a, 0xc6,
  0x9f, 0x74, 0x30, 0xdb, 0xba, 0x7d, 0xad, 0xe6, 0x3c, 0xe9, 0x82, 0x29, 0x9e, 0x04, 0xb7, 0x9d, 0x22, 0x78, 0x73, 0xd1};

static struct function_list *original, ours;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for the four below */
static struct faults faults = {.at = ALL};
static struct stat seen;
static int is_stale; /* the token vanished, and the application has not initialised the module since it is back */
static ulong calls_since; /* to the function that `at` names, since the file changed */
static atomic_ulong unmapped[ALL + 1], *calls = unmapped; /* of all functions, then of each */

static int numbered(const char *name) {
  for (int n = 0; n < ALL; n++)
    if (!strcmp(name, names[n])) return n;
  return ALL;
}

/* The file of `suffix` beside the one that says what to do. */
static const char *beside(char *buffer, size_t size, const char *suffix) {
  const char *path = getenv("FAULT_SHIM_CONTROL"), *conf = getenv("SOFTHSM2_CONF");
  int length = path ? snprintf(buffer, size, "%s%s", path, suffix) : conf ? snprintf(buffer, size, "%s.faults%s", conf, suffix) : 0;
  return length > 0 && length < (int)size ? buffer : NULL;
}

static void map_calls(void) {
  char buffer[4096];
  const char *path = beside(buffer, sizeof buffer, ".calls");
  int file = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
  if (file < 0) return;
  if (ftruncate(file, sizeof unmapped) == 0) {
    void *mapped = mmap(NULL, sizeof unmapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) calls = mapped;
  }
  close(file);
}

static ulong real(int n, ulong a, ulong b, ulong c) { return original->functions[n](a, b, c, 0, 0, 0, 0, 0); }

static void fail(struct faults *into, ulong result, char *rest) {
  char *name = strtok(rest, " ");
  for (int n = 0; !name && n < ALL; n++)
    if (n != N_Initialize && n != N_Finalize && n != N_GetInfo) into->result[n] = result;
  for (; name; name = strtok(NULL, " "))
    for (int n = 0; n < ALL; n++)
      if (!strcmp(name, names[n])) into->result[n] = result;
}

static int deny(struct faults *into, ulong result, const char *rest) {
  char function[40], what[32];
  struct denial *denial = &into->denied[into->denied_count];
  if (into->denied_count == MOST_DENIED || sscanf(rest, " %39s %31s %li", function, what, (long *)&denial->value) != 3) return 0;
  denial->function = numbered(function);
  denial->matter = !strcmp(what, "mechanism") ? MECHANISM : !strcmp(what, "without") ? WITHOUT : !strcmp(what, "point") ? POINT : ATTRIBUTE;
  denial->attribute = denial->matter == WITHOUT ? denial->value : strtoul(what, NULL, 0);
  denial->result = result;
  into->denied_count++;
  return denial->function != ALL;
}

static int at(struct faults *into, const char *line) {
  char function[40], what[32];
  if (sscanf(line, "at %39s %lu %31s", function, &into->once_at, what) != 3) return 0;
  into->at = numbered(function);
  for (into->event = 0; into->event < NOTHING && strcmp(what, events[into->event]); into->event++);
  return into->at != ALL && into->event != NOTHING;
}

static struct faults parse(FILE *file) {
  struct faults read = {.at = ALL};
  char line[1024], verb[32];
  while (fgets(line, sizeof line, file)) {
    ulong number = 0;
    int end = 0;
    line[strcspn(line, "\n")] = 0;
    if (sscanf(line, "%31s %li%n", verb, (long *)&number, &end) < 1) continue;
    if (!strcmp(verb, "latency")) read.latency = number;
    else if (!strcmp(verb, "hang")) read.hangs = 1;
    else if (!strcmp(verb, "fail")) fail(&read, number, line + end);
    else if (!strcmp(verb, "fail-marked")) read.marked = number;
    else if (!strcmp(verb, "truncate")) read.truncates = 1;
    else if (!strcmp(verb, "garble")) read.garbles = 1;
    else if (!strcmp(verb, "swap")) read.swaps = 1;
    else if (!strcmp(verb, "cannot-lock")) read.cannot_lock = 1;
    else if (!strcmp(verb, "vanish")) read.vanished = 1;
    else if (!strcmp(verb, "close-sessions")) read.closes = 1;
    else if (!strcmp(verb, "log-out")) read.logs_out = 1;
    else if (!strcmp(verb, "lax-points")) read.is_lax = 1;
    else if (!strcmp(verb, "raw-points")) read.is_raw = 1;
    else if (!strcmp(verb, "hmac-dialect")) read.dialect = number;
    else if (!strcmp(verb, "misread")) read.misread = number;
    else if (!strcmp(verb, "deny-kdf")) read.denied_kdf = number;
    else if (!strcmp(verb, "deny") && deny(&read, number, line + end)) continue;
    else if (!strcmp(verb, "at") && at(&read, line)) continue;
    else if (!strcmp(verb, "hide-mechanism") && read.hidden_count < MOST_HIDDEN) read.hidden[read.hidden_count++] = number;
    else fprintf(stderr, "fault-shim: unknown directive %s\n", line), abort(); /* a test that asks for nothing would pass */
  }
  return read;
}

static void close_sessions(void) {
  ulong slots[64], count = 64;
  if (real(N_GetSlotList, 1, (ulong)slots, (ulong)&count) != OK) return;
  for (ulong i = 0; i < count; i++) real(N_CloseAllSessions, slots[i], 0, 0);
}

/* In a session of its own: those of the application may be closed by now. */
static void log_out(void) {
  ulong slots[64], count = 64, session;
  if (real(N_GetSlotList, 1, (ulong)slots, (ulong)&count) != OK) return;
  for (ulong i = 0; i < count; i++) {
    if (original->functions[N_OpenSession](slots[i], SERIAL_SESSION, 0, 0, (ulong)&session, 0, 0, 0) != OK) continue;
    real(N_Logout, session, 0, 0);
    real(N_CloseSession, session, 0, 0);
  }
}

static int is_same(const struct stat *a, const struct stat *b) {
  return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
         a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A module may free what a session of another thread's works with (SoftHSM does), so what ends sessions waits for the calls under way. */
static atomic_int inside;

static void wait_for_calls(void) {
  for (int i = 0; i < 5000 && atomic_load(&inside) > 0; i++) usleep(100);
}

/* What is asked for now. What is to happen once happens in the call that is the first to see it. */
static struct faults look(int enters) {
  static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* who is inside does not wait for it */
  char buffer[4096];
  const char *path = beside(buffer, sizeof buffer, "");
  struct stat now = {0};
  pthread_mutex_lock(&gate);
  if (path && stat(path, &now) != 0) now = (struct stat){0};
  pthread_mutex_lock(&lock);
  int is_new = !is_same(&now, &seen);
  if (is_new) {
    FILE *file = now.st_ino ? fopen(path, "r") : NULL;
    faults = file ? parse(file) : (struct faults){.at = ALL};
    if (file) fclose(file);
    seen = now;
    calls_since = 0;
    if (faults.vanished) is_stale = 1;
  }
  struct faults copy = faults;
  pthread_mutex_unlock(&lock);
  if (is_new && (copy.closes || copy.vanished || copy.logs_out)) wait_for_calls();
  if (is_new && (copy.closes || copy.vanished)) close_sessions();
  if (is_new && copy.logs_out) log_out();
  if (enters) atomic_fetch_add(&inside, 1);
  pthread_mutex_unlock(&gate);
  return copy;
}

static int is_gone(void) {
  pthread_mutex_lock(&lock);
  int gone = is_stale;
  pthread_mutex_unlock(&lock);
  return gone;
}

static int is_hidden(const struct faults *now, ulong mechanism) {
  for (int i = 0; i < now->hidden_count; i++)
    if (now->hidden[i] == mechanism) return 1;
  return 0;
}

static ulong without_token(int n, ulong *count) {
  if (n == N_GetSlotList) {
    *count = 0;
    return OK;
  }
  return n == N_GetSlotInfo || n == N_GetTokenInfo || n == N_OpenSession ? SLOT_ID_INVALID : DEVICE_REMOVED;
}

static void litter(ulong session) {
  ulong data = 0, object;
  unsigned char yes = 1;
  struct attribute template[] = {{0, &data, sizeof data}, {CKA_TOKEN, &yes, 1}, {3, "litter", 6}};
  original->functions[N_CreateObject](session, (ulong)template, 3, (ulong)&object, 0, 0, 0, 0);
}

static struct faults look(int enters);

static void happen(int n, const struct faults *now, ulong session) {
  if (n != now->at) return;
  pthread_mutex_lock(&lock);
  int is_due = ++calls_since == now->once_at || now->once_at == 0;
  struct stat asked = seen;
  pthread_mutex_unlock(&lock);
  if (!is_due) return;
  if (now->event == LITTER) litter(session);
  else if (now->event == CRASH) raise(SIGSEGV);
  else if (now->event == LOG_OUT) real(N_Logout, session, 0, 0);
  else for (look(0); is_same(&asked, &seen); look(0)) usleep(1000);
}

static int has(const struct attribute *template, ulong count, ulong attribute, ulong value) {
  for (ulong i = 0; i < count; i++) {
    ulong found = template[i].length == 1 ? *(unsigned char *)template[i].value : 0;
    if (template[i].length == sizeof found) memcpy(&found, template[i].value, sizeof found);
    if (template[i].type == attribute && found == value) return 1;
  }
  return 0;
}

/* The template of this call, and how many attributes it has. Of a key pair, the private half's. */
static struct attribute *template_of(int n, ulong *count, WORDS) {
  (void)a, (void)h;
  ulong template = 0;
  *count = 0;
  if (n == N_CreateObject) template = b, *count = c;
  if (n == N_CopyObject || n == N_SetAttributeValue || n == N_GenerateKey) template = c, *count = d;
  if (n == N_DeriveKey) template = d, *count = e;
  if (n == N_GenerateKeyPair) template = e, *count = f;
  if (n == N_UnwrapKey) template = f, *count = g;
  return (struct attribute *)template;
}

static struct attribute *find(struct attribute *template, ulong count, ulong type) {
  for (ulong i = 0; i < count; i++)
    if (template[i].type == type) return template + i;
  return NULL;
}

static int applies(const struct denial *denial, int n, WORDS) {
  ulong count;
  struct attribute *template = template_of(n, &count, a, b, c, d, e, f, g, h), *found;
  const struct mechanism *by = (void *)b;
  if (n != denial->function) return 0;
  switch (denial->matter) {
    case MECHANISM: return by->type == denial->value;
    case WITHOUT: return template && !find(template, count, denial->attribute);
    case POINT:
      if (n == N_DeriveKey) return by->type == ECDH1_DERIVE && ((struct ecdh *)by->parameter)->public_length == denial->value;
      return (found = find(template, count, CKA_EC_POINT)) && found->length == denial->value;
    default:
      return has(template, count, denial->attribute, denial->value) ||
             (n == N_GenerateKeyPair && has((void *)c, d, denial->attribute, denial->value));
  }
}

static ulong denied(int n, const struct faults *now, WORDS) {
  for (const struct denial *denial = now->denied; denial < now->denied + now->denied_count; denial++)
    if (applies(denial, n, a, b, c, d, e, f, g, h)) return denial->result;
  return OK;
}

static const unsigned char generator[65] =
  "\x04\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96"
  "\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5";

static ulong derive_anyway(ulong session, const struct mechanism *by, ulong base, ulong template, ulong count, ulong key) {
  struct ecdh good = *(struct ecdh *)by->parameter;
  struct mechanism instead = {by->type, &good, by->length};
  good.public = (unsigned char *)generator;
  good.public_length = sizeof generator;
  return original->functions[N_DeriveKey](session, (ulong)&instead, base, template, count, key, 0, 0);
}

static struct mechanism *swap(const struct mechanism *given, struct mechanism *swapping, struct ecdh *swapped, unsigned char *point) {
  *swapping = *given;
  *swapped = *(struct ecdh *)given->parameter;
  if (swapped->public_length < sizeof twice_g || swapped->public_length > 67) abort();
  memcpy(point, swapped->public, swapped->public_length); /* raw or DER: the coordinates are at the end */
  memcpy(point + swapped->public_length - sizeof twice_g, twice_g, sizeof twice_g);
  swapped->public = point;
  swapping->parameter = swapped;
  return swapping;
}

/* The value of a key, if that is what is asked for and it has 32 bytes. */
static int altered(const struct faults *now, ulong session, ulong object, struct attribute *asked, ulong count) {
  unsigned char value[32];
  ulong class = 0;
  struct attribute of_class = {0, &class, sizeof class}, full = {CKA_VALUE, value, sizeof value};
  if (count != 1 || asked->type != CKA_VALUE) return 0;
  if (original->functions[N_GetAttributeValue](session, object, (ulong)&of_class, 1, 0, 0, 0, 0) != OK || class != SECRET_KEY) return 0;
  if (original->functions[N_GetAttributeValue](session, object, (ulong)&full, 1, 0, 0, 0, 0) != OK || full.length != sizeof value) return 0;
  value[sizeof value - 1] ^= now->garbles;
  asked->length = sizeof value - now->truncates;
  if (asked->value) memcpy(asked->value, value, asked->length);
  return 1;
}

/* Only this many attributes of a template are translated. */
enum { MOST_ATTRIBUTES = 32 };

/* C_CreateObject and C_GenerateKey of a device that says it otherwise, in the words of the module. */
static ulong translated(int n, const struct faults *now, WORDS) {
  struct attribute template[MOST_ATTRIBUTES], *found;
  struct mechanism by = {GENERIC_SECRET_KEY_GEN, 0, 0};
  unsigned char point[256];
  ulong type = GENERIC_SECRET, is_ours = n == N_GenerateKey && ((struct mechanism *)b)->type == now->dialect, count = n == N_GenerateKey ? d : c;
  if (n == N_GenerateKey && !is_ours && ((struct mechanism *)b)->type == by.type) return MECHANISM_INVALID;
  if (count > MOST_ATTRIBUTES || (n == N_GenerateKey && !is_ours)) return original->functions[n](a, b, c, d, e, f, g, h);
  memcpy(template, (void *)(n == N_GenerateKey ? c : b), count * sizeof *template);
  if ((found = find(template, count, CKA_EC_POINT)) && now->is_raw && found->length < 128) {
    if (found->length == 67) return TEMPLATE_INCONSISTENT;
    point[0] = 4, point[1] = found->length;
    memcpy(point + 2, found->value, found->length);
    *found = (struct attribute){CKA_EC_POINT, point, found->length + 2};
  }
  if (is_ours && !has(template, count, CKA_KEY_TYPE, SHA256_HMAC_KEY)) return TEMPLATE_INCONSISTENT;
  if (is_ours) find(template, count, CKA_KEY_TYPE)->value = &type;
  if (n == N_GenerateKey) return original->functions[n](a, (ulong)&by, (ulong)template, d, e, 0, 0, 0);
  return original->functions[n](a, (ulong)template, c, d, 0, 0, 0, 0);
}

/* What C_GetAttributeValue answered, in the words of such a device. */
static void reword(const struct faults *now, ulong session, ulong object, struct attribute *template, ulong count) {
  unsigned char is_kept = 0;
  struct attribute kept = {CKA_TOKEN, &is_kept, 1};
  if (now->misread) original->functions[N_GetAttributeValue](session, object, (ulong)&kept, 1, 0, 0, 0, 0);
  for (struct attribute *each = template; each < template + count; each++) {
    if (!each->value || each->length == (ulong)-1) continue;
    if (each->type == CKA_EC_POINT && now->is_raw && each->length == 67) memmove(each->value, (char *)each->value + 2, each->length = 65);
    if (each->type == CKA_KEY_TYPE && now->dialect && *(ulong *)each->value == GENERIC_SECRET) *(ulong *)each->value = SHA256_HMAC_KEY;
    if (each->type == now->misread && is_kept && each->length == 1) *(unsigned char *)each->value ^= 1;
  }
}

static ulong answer(int n, const struct faults *now, WORDS) {
  if (now->result[n]) {
    /* These end the operation that their Init began, also when they fail. */
    if (n == N_Sign || n == N_Verify || n == N_Encrypt || n == N_Decrypt) original->functions[n](a, b, c, d, e, f, g, h);
    return now->result[n];
  }
  if (n == N_Sign && now->marked && c >= 8 && !memcmp((void *)b, "MMMMMMMM", 8)) {
    original->functions[n](a, b, c, d, e, f, g, h);
    return now->marked;
  }
  if (n == N_Initialize && now->cannot_lock && a && ((struct initialize_arguments *)a)->flags & OS_LOCKING_OK) return CANT_LOCK;
  if (n > N_GetFunctionList && is_gone()) return without_token(n, (ulong *)c);
  happen(n, now, a);
  ulong denial = denied(n, now, a, b, c, d, e, f, g, h);
  if (denial) return denial;
  if (n == N_GetMechanismInfo && is_hidden(now, b)) return MECHANISM_INVALID;
  if (n == N_GetMechanismInfo && now->dialect && b == now->dialect) b = GENERIC_SECRET_KEY_GEN;
  if (n == N_DeriveKey && now->denied_kdf) {
    const struct mechanism *derivation = (void *)b;
    if (derivation->type == ECDH1_DERIVE && ((struct ecdh *)derivation->parameter)->kdf == now->denied_kdf) return MECHANISM_PARAM_INVALID;
  }
  if (n == N_GetAttributeValue && (now->truncates || now->garbles) && altered(now, a, b, (void *)c, d)) return OK;
  struct mechanism swapping;
  struct ecdh swapped;
  unsigned char point[67];
  if (n == N_DeriveKey && now->swaps && ((struct mechanism *)b)->type == ECDH1_DERIVE) b = (ulong)swap((void *)b, &swapping, &swapped, point);
  int is_other = (n == N_CreateObject && now->is_raw) || (n == N_GenerateKey && now->dialect);
  ulong result = is_other ? translated(n, now, a, b, c, d, e, f, g, h) : original->functions[n](a, b, c, d, e, f, g, h);
  if (result != OK && n == N_DeriveKey && now->is_lax && ((struct mechanism *)b)->type == ECDH1_DERIVE) return derive_anyway(a, (void *)b, c, d, e, f);
  if (result != OK) return result;
  if (n == N_GetAttributeValue) reword(now, a, b, (void *)c, d);
  if (n == N_GetMechanismList && b) {
    ulong *list = (ulong *)b, *count = (ulong *)c, kept = 0;
    for (ulong i = 0; i < *count; i++)
      if (!is_hidden(now, list[i])) list[kept++] = now->dialect && list[i] == GENERIC_SECRET_KEY_GEN ? now->dialect : list[i];
    *count = kept;
  }
  pthread_mutex_lock(&lock);
  if (n == N_Initialize && !faults.vanished) is_stale = 0;
  pthread_mutex_unlock(&lock);
  return OK;
}

static void sleep_until(struct timespec from, ulong microseconds) {
  from.tv_nsec += microseconds % 1000000 * 1000;
  from.tv_sec += microseconds / 1000000 + from.tv_nsec / 1000000000;
  from.tv_nsec %= 1000000000;
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &from, NULL);
}

static ulong forward(int n, WORDS) {
  struct timespec began;
  clock_gettime(CLOCK_MONOTONIC, &began);
  atomic_fetch_add(&calls[0], 1);
  atomic_fetch_add(&calls[n + 1], 1);
  struct faults now = look(1);
  while (now.hangs) {
    atomic_fetch_sub(&inside, 1);
    usleep(1000);
    now = look(1);
  }
  ulong result = answer(n, &now, a, b, c, d, e, f, g, h);
  atomic_fetch_sub(&inside, 1);
  if (now.latency) {
    prctl(PR_SET_TIMERSLACK, 1); /* of this thread; else each call takes 50 microseconds more than asked for */
    sleep_until(began, now.latency);
  }
  return result;
}

#define FORWARD(number, name) \
  static ulong forward_##name(WORDS) { return forward(number, a, b, c, d, e, f, g, h); }
FUNCTIONS(FORWARD)

ulong C_GetFunctionList(struct function_list **list) {
  const char *path = getenv("FAULT_SHIM_MODULE");
  void *library = path ? dlopen(path, RTLD_NOW) : NULL;
  if (!library) return GENERAL_ERROR;
  ulong (*get)(struct function_list **) = (ulong(*)(struct function_list **))dlsym(library, "C_GetFunctionList");
  if (!get || get(&original) != OK) return GENERAL_ERROR;
  map_calls();
  ours = *original;
#define PUT(number, name) ours.functions[number] = forward_##name;
  FUNCTIONS(PUT)
  ours.functions[N_GetFunctionList] = original->functions[N_GetFunctionList];
  *list = &ours;
  return OK;
}
