/*
 * A PKCS#11 module for tests: the module named by $FAULT_SHIM_MODULE, with the faults that the file $FAULT_SHIM_CONTROL asks for while
 * it runs ($SOFTHSM2_CONF.faults unless set). Without that file, or with an empty one, it passes every call on unchanged. Put a new file
 * in place by rename; one directive a line:
 *
 *   latency MICROSECONDS        each call takes at least this long, the module's own time included
 *   hang                        calls wait until the file changes
 *   fail CKR [FUNCTION ...]     the calls named answer CKR (0x30), all but C_Initialize, C_Finalize and C_GetInfo if none is named
 *   fail-marked CKR             C_UnwrapKey of a blob that begins with MMMMMMMM (8 times 0x4d) answers CKR
 *   vanish                      no slot holds a token, sessions are gone; lifted, the token is back at the next C_Initialize
 *   close-sessions              once: every session of the application is closed
 *   log-out                     once: the user is logged out, as by another thread of the application
 *   hide-mechanism NUMBER       not listed, and C_GetMechanismInfo does not know it
 *   deny-kdf NUMBER             ECDH1_DERIVE with this key derivation function (1: CKD_NULL) answers MECHANISM_PARAM_INVALID
 *   deny CKR FUNCTION mechanism NUMBER   the function answers CKR to this mechanism
 *   deny CKR FUNCTION ATTRIBUTE VALUE    the function answers CKR to a template that has this attribute with this value
 *   at FUNCTION N log-out       just before the Nth call from now on (0: before each), the user is logged out
 *   at FUNCTION N litter        just before it, a token object is made that nobody asked for
 *
 * fault_shim_calls() tells how many calls there were, fault_shim_calls_to("C_Login") how many to one function. Without PKCS#11 headers: only the layout of the function list and of two
 * structures matters (PKCS#11 2.40, §3; on Unix nothing is packed), and that a function may be called with more words than it takes
 * (so in the C ABIs of x86-64 and arm64).
 *
 *   cc -std=gnu11 -shared -fPIC -o fault-shim.so fault-shim.c -ldl -lpthread
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
struct ecdh { ulong kdf; };

enum { OK = 0, SLOT_ID_INVALID = 0x03, GENERAL_ERROR = 5, DEVICE_REMOVED = 0x32, MECHANISM_INVALID = 0x70, MECHANISM_PARAM_INVALID = 0x71 };
enum { SERIAL_SESSION = 4, ECDH1_DERIVE = 0x1050, MOST_HIDDEN = 16, MOST_DENIED = 16, CKA_TOKEN = 1 };

struct attribute { ulong type; void *value; ulong length; };
struct denial { ulong result, attribute, value; int function, is_of_mechanism; };

struct faults {
  ulong latency, result[ALL], marked, hidden[MOST_HIDDEN], denied_kdf, once_at;
  struct denial denied[MOST_DENIED];
  int hidden_count, denied_count, hangs, vanished, closes, logs_out, at, at_litters;
};

static struct function_list *original, ours;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for the four below */
static struct faults faults = {.at = ALL};
static struct stat seen;
static int is_stale; /* the token vanished, and the application has not initialised the module since it is back */
static ulong calls_since; /* to the function that `at` names, since the file changed */
static atomic_ulong calls, calls_to[ALL];

static int numbered(const char *name) {
  for (int n = 0; n < ALL; n++)
    if (!strcmp(name, names[n])) return n;
  return ALL;
}

ulong fault_shim_calls(void) { return atomic_load(&calls); }

ulong fault_shim_calls_to(const char *name) {
  int n = numbered(name);
  return n == ALL ? (ulong)-1 : atomic_load(&calls_to[n]);
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
  denial->is_of_mechanism = !strcmp(what, "mechanism");
  denial->attribute = strtoul(what, NULL, 0);
  denial->result = result;
  into->denied_count++;
  return denial->function != ALL;
}

static int at(struct faults *into, const char *line) {
  char function[40], what[32];
  if (sscanf(line, "at %39s %lu %31s", function, &into->once_at, what) != 3) return 0;
  into->at = numbered(function);
  into->at_litters = !strcmp(what, "litter");
  return into->at != ALL && (into->at_litters || !strcmp(what, "log-out"));
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
    else if (!strcmp(verb, "vanish")) read.vanished = 1;
    else if (!strcmp(verb, "close-sessions")) read.closes = 1;
    else if (!strcmp(verb, "log-out")) read.logs_out = 1;
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

/* What is asked for now. What is to happen once happens in the call that is the first to see it. */
static struct faults look(void) {
  char beside[4096];
  const char *path = getenv("FAULT_SHIM_CONTROL"), *conf = getenv("SOFTHSM2_CONF");
  struct stat now = {0};
  if (!path && conf && snprintf(beside, sizeof beside, "%s.faults", conf) < (int)sizeof beside) path = beside;
  pthread_mutex_lock(&lock);
  if (path && stat(path, &now) != 0) now = (struct stat){0};
  if (!is_same(&now, &seen)) {
    FILE *file = now.st_ino ? fopen(path, "r") : NULL;
    faults = file ? parse(file) : (struct faults){.at = ALL};
    if (file) fclose(file);
    seen = now;
    calls_since = 0;
    if (faults.vanished) is_stale = 1;
    if (faults.closes || faults.vanished) close_sessions();
    if (faults.logs_out) log_out();
  }
  struct faults copy = faults;
  pthread_mutex_unlock(&lock);
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

static void happen(int n, const struct faults *now, ulong session) {
  if (n != now->at) return;
  pthread_mutex_lock(&lock);
  int is_due = ++calls_since == now->once_at || now->once_at == 0;
  pthread_mutex_unlock(&lock);
  if (is_due && now->at_litters) litter(session);
  else if (is_due) real(N_Logout, session, 0, 0);
}

static int has(const struct attribute *template, ulong count, ulong attribute, ulong value) {
  for (ulong i = 0; i < count; i++) {
    ulong found = template[i].length == 1 ? *(unsigned char *)template[i].value : 0;
    if (template[i].length == sizeof found) memcpy(&found, template[i].value, sizeof found);
    if (template[i].type == attribute && found == value) return 1;
  }
  return 0;
}

/* Is the template of this call one that has the attribute? Of a key pair, the private half's. */
static int asks(int n, const struct denial *denial, WORDS) {
  (void)a, (void)h;
  ulong template = 0, count = 0;
  if (n == N_CreateObject) template = b, count = c;
  if (n == N_CopyObject || n == N_SetAttributeValue || n == N_GenerateKey) template = c, count = d;
  if (n == N_DeriveKey) template = d, count = e;
  if (n == N_GenerateKeyPair) template = e, count = f;
  if (n == N_UnwrapKey) template = f, count = g;
  return has((void *)template, count, denial->attribute, denial->value);
}

static ulong denied(int n, const struct faults *now, WORDS) {
  for (const struct denial *denial = now->denied; denial < now->denied + now->denied_count; denial++) {
    if (n != denial->function) continue;
    int applies = denial->is_of_mechanism ? ((struct mechanism *)b)->type == denial->value : asks(n, denial, a, b, c, d, e, f, g, h);
    if (applies) return denial->result;
  }
  return OK;
}

static ulong answer(int n, const struct faults *now, WORDS) {
  if (now->result[n]) {
    /* These end the operation that their Init began, also when they fail. */
    if (n == N_Sign || n == N_Verify || n == N_Encrypt || n == N_Decrypt) original->functions[n](a, b, c, d, e, f, g, h);
    return now->result[n];
  }
  if (n == N_UnwrapKey && now->marked && e >= 8 && !memcmp((void *)d, "MMMMMMMM", 8)) return now->marked;
  if (n > N_GetFunctionList && is_gone()) return without_token(n, (ulong *)c);
  happen(n, now, a);
  ulong denial = denied(n, now, a, b, c, d, e, f, g, h);
  if (denial) return denial;
  if (n == N_GetMechanismInfo && is_hidden(now, b)) return MECHANISM_INVALID;
  if (n == N_DeriveKey && now->denied_kdf) {
    const struct mechanism *derivation = (void *)b;
    if (derivation->type == ECDH1_DERIVE && ((struct ecdh *)derivation->parameter)->kdf == now->denied_kdf) return MECHANISM_PARAM_INVALID;
  }
  ulong result = original->functions[n](a, b, c, d, e, f, g, h);
  if (result != OK) return result;
  if (n == N_GetMechanismList && b) {
    ulong *list = (ulong *)b, *count = (ulong *)c, kept = 0;
    for (ulong i = 0; i < *count; i++)
      if (!is_hidden(now, list[i])) list[kept++] = list[i];
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
  atomic_fetch_add(&calls, 1);
  atomic_fetch_add(&calls_to[n], 1);
  struct faults now = look();
  while (now.hangs) {
    usleep(1000);
    now = look();
  }
  ulong result = answer(n, &now, a, b, c, d, e, f, g, h);
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
  ours = *original;
#define PUT(number, name) ours.functions[number] = forward_##name;
  FUNCTIONS(PUT)
  ours.functions[N_GetFunctionList] = original->functions[N_GetFunctionList];
  *list = &ours;
  return OK;
}
