/* A management library that says what the environment variable FAKE_NVML tells it to say.
 *
 * FAKE_NVML holds lines KEY=VALUE. For the whole library:
 *   count=N   driver=TEXT   noise=1 (prints to standard output while loading the cards)
 *   err.FUNCTION=CODE       crash.FUNCTION=1   hang.FUNCTION=1   exit.FUNCTION=1   delay.FUNCTION=MILLISECONDS
 * For card I (and for its MIG instance J, with the prefix I.mig.J.):
 *   I.name=TEXT  I.uuid=TEXT  I.total=BYTES  I.free=BYTES  I.reserved=BYTES  I.model=N  I.instances=N
 *   I.err.FUNCTION=CODE
 * Built with -DNO_INIT, -DNO_MEMORY_V2 or -DCORE_ONLY, it lacks symbols as old drivers do; with -DOLD_INIT it has
 * the older call that starts the library.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
enum { INSTANCES_PER_CARD = 64 };

typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;

/* The value of a key, or NULL. Copied, because a value ends at its line's end. */
static const char *look_up(const char *key) {
    static char value[4096];
    const char *line = getenv("FAKE_NVML");
    size_t length = strlen(key);
    while (line != NULL && *line != '\0') {
        const char *end = strchr(line, '\n');
        size_t size = end == NULL ? strlen(line) : (size_t)(end - line);
        if (size > length && strncmp(line, key, length) == 0 && line[length] == '=') {
            size_t kept = size - length - 1;
            if (kept >= sizeof value) kept = sizeof value - 1;
            memcpy(value, line + length + 1, kept);
            value[kept] = '\0';
            return value;
        }
        line = end == NULL ? NULL : end + 1;
    }
    return NULL;
}

static unsigned long long number(const char *key, unsigned long long otherwise) {
    const char *value = look_up(key);
    return value == NULL ? otherwise : strtoull(value, NULL, 10);
}

static const char *keyed(const char *left, const char *right) {
    static char key[256];
    snprintf(key, sizeof key, "%s%s", left, right);
    return key;
}

/* A handle is the card's index and the instance's, both counted from one; no instance is zero. */
static void *handle_of(unsigned int card, unsigned int instance) {
    return (void *)(uintptr_t)((card + 1) * INSTANCES_PER_CARD + instance);
}

static const char *prefix_of(void *handle) {
    static char prefix[64];
    unsigned int card = (unsigned int)((uintptr_t)handle / INSTANCES_PER_CARD) - 1;
    unsigned int instance = (unsigned int)((uintptr_t)handle % INSTANCES_PER_CARD);
    if (instance == 0) snprintf(prefix, sizeof prefix, "%u.", card);
    else snprintf(prefix, sizeof prefix, "%u.mig.%u.", card, instance - 1);
    return prefix;
}

/* What is to happen in a function, for all cards or for one. */
static int enter(const char *function, void *handle) {
    usleep(1000 * (useconds_t)number(keyed("delay.", function), 0));
    if (number(keyed("crash.", function), 0)) raise(SIGSEGV);
    if (number(keyed("exit.", function), 0)) _exit(0);
    while (number(keyed("hang.", function), 0)) sleep(1);
    int code = (int)number(keyed("err.", function), SUCCESS);
    if (code == SUCCESS && handle != NULL) {
        char key[256];
        snprintf(key, sizeof key, "%serr.%s", prefix_of(handle), function);
        code = (int)number(key, SUCCESS);
    }
    return code;
}

#define ENTER(handle)                                  \
    do {                                               \
        int code_ = enter(__func__, (void *)(handle)); \
        if (code_ != SUCCESS) return code_;            \
    } while (0)

#ifndef NO_INIT
int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    ENTER(NULL);
    if (number("noise", 0)) {
        printf("WARNING: a library may print what it likes\n");
        fflush(stdout);
    }
    return SUCCESS;
}
#endif

#ifdef OLD_INIT
int nvmlInit_v2(void) {
    ENTER(NULL);
    return SUCCESS;
}
#endif

int nvmlDeviceGetCount_v2(unsigned int *count) {
    ENTER(NULL);
    *count = (unsigned int)number("count", 0);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle) {
    if (index >= number("count", 0)) return INVALID_ARGUMENT;
    *handle = handle_of(index, 0);
    ENTER(*handle);
    return SUCCESS;
}

#ifndef CORE_ONLY
/* As NVML does: a text that fills its buffer leaves no room for the end and is refused. */
static int copy(const char *text, char *buffer, unsigned int length) {
    if (text == NULL) return NOT_SUPPORTED;
    if (strlen(text) >= length) return INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return SUCCESS;
}

int nvmlShutdown(void) {
    ENTER(NULL);
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    ENTER(NULL);
    return copy(look_up("driver"), version, length);
}

int nvmlDeviceGetName(void *handle, char *name, unsigned int length) {
    ENTER(handle);
    return copy(look_up(keyed(prefix_of(handle), "name")), name, length);
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned int length) {
    ENTER(handle);
    return copy(look_up(keyed(prefix_of(handle), "uuid")), uuid, length);
}

int nvmlDeviceGetMemoryInfo(void *handle, memory_v1 *memory) {
    ENTER(handle);
    memory->total = number(keyed(prefix_of(handle), "total"), 0);
    memory->free = number(keyed(prefix_of(handle), "free"), 0);
    memory->used = memory->total - memory->free;
    return SUCCESS;
}

#ifndef NO_MEMORY_V2
int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2 *memory) {
    ENTER(handle);
    memory->total = number(keyed(prefix_of(handle), "total"), 0);
    memory->free = number(keyed(prefix_of(handle), "free"), 0);
    memory->reserved = number(keyed(prefix_of(handle), "reserved"), 0);
    memory->used = memory->total - memory->free - memory->reserved;
    return SUCCESS;
}
#endif

int nvmlDeviceGetDriverModel_v2(void *handle, unsigned int *current, unsigned int *pending) {
    ENTER(handle);
    const char *model = look_up(keyed(prefix_of(handle), "model"));
    if (model == NULL) return NOT_SUPPORTED;
    *current = *pending = (unsigned int)atoi(model);
    return SUCCESS;
}

int nvmlDeviceGetMigMode(void *handle, unsigned int *current, unsigned int *pending) {
    ENTER(handle);
    if (look_up(keyed(prefix_of(handle), "instances")) == NULL) return NOT_SUPPORTED;
    *current = *pending = 1;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned int *count) {
    ENTER(handle);
    *count = (unsigned int)number(keyed(prefix_of(handle), "instances"), 0);
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned int index, void **instance) {
    ENTER(handle);
    unsigned int card = (unsigned int)((uintptr_t)handle / INSTANCES_PER_CARD) - 1;
    if (index + 1 >= INSTANCES_PER_CARD) return INVALID_ARGUMENT;
    *instance = handle_of(card, index + 1);
    return look_up(keyed(prefix_of(*instance), "uuid")) == NULL ? NOT_FOUND : SUCCESS;
}
#endif
