/* The machine file and the control file. The control file is 16 mapped bytes: the machine's time in microseconds
 * since the epoch (0: the system's clock), and a generation; when that moves, the description is read again. */
#include "call.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct control { _Atomic int64_t now_us, generation; };
struct device { int gpu, slot; };

static struct control *control;
static struct device devices[MAX_GPUS][1 + MAX_MIGS];
static const struct machine *_Atomic described;
static int64_t described_generation = -1;
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int initialised_by, initialised;

static void give_up(const char *why)
{
    fprintf(stderr, "fake nvml: %s\n", why);
    abort();
}

static void open_control(void)
{
    const char *path = getenv("ALLOT_FAKE_NVML_CONTROL");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        give_up("ALLOT_FAKE_NVML_CONTROL names no readable file");
    control = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (control == MAP_FAILED)
        give_up("the control file cannot be mapped");
    for (int gpu = 0; gpu < MAX_GPUS; gpu++)
        for (int slot = 0; slot <= MAX_MIGS; slot++)
            devices[gpu][slot] = (struct device){gpu, slot - 1};
}

/* An old description is never freed: another thread may be reading it. */
static const struct machine *current_machine(void)
{
    pthread_mutex_lock(&reading);
    if (control == NULL)
        open_control();
    int64_t generation = atomic_load(&control->generation);
    if (generation != described_generation) {
        const char *path = getenv("ALLOT_FAKE_NVML_MACHINE");
        struct machine *machine = malloc(sizeof *machine);
        if (path == NULL || machine == NULL || machine_read(path, machine) != 0)
            give_up("ALLOT_FAKE_NVML_MACHINE names no machine that can be read");
        atomic_store(&described, machine);
        described_generation = generation;
    }
    pthread_mutex_unlock(&reading);
    return atomic_load(&described);
}

static int64_t now_us(void)
{
    int64_t scripted_us = atomic_load(&control->now_us);
    struct timespec now;
    if (scripted_us != 0)
        return scripted_us;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* As a stuck ioctl: nothing but the end of the fault, or another machine, lets the caller go. */
static void hang(const struct fault *fault)
{
    struct timespec pause = {0, 5000000};
    int64_t generation = atomic_load(&control->generation);
    while (now_us() < fault->until_us && atomic_load(&control->generation) == generation)
        nanosleep(&pause, NULL);
}

static nvml_return scripted(const struct call *call, const char *function)
{
    for (int i = 0; i < call->machine->fault_count; i++) {
        const struct fault *fault = &call->machine->faults[i];
        int is_named = strcmp(fault->call, "*") == 0 || strcmp(fault->call, function) == 0;
        int is_due = fault->from_us <= call->now_us && call->now_us < fault->until_us;
        if (!is_named || !is_due || (fault->gpu != ANY && fault->gpu != call->part.gpu))
            continue;
        if (fault->result != HANG)
            return fault->result;
        hang(fault);
    }
    return NVML_SUCCESS;
}

static nvml_return find_device(struct call *call, const struct device *device)
{
    if (device < &devices[0][0] || device > &devices[MAX_GPUS - 1][MAX_MIGS])
        return NVML_INVALID_ARGUMENT;
    if (device->gpu >= call->machine->gpu_count)
        return NVML_INVALID_ARGUMENT;
    call->gpu = &call->machine->gpus[device->gpu];
    call->part.gpu = device->gpu;
    if (device->slot < 0)
        return NVML_SUCCESS;
    if (device->slot >= call->gpu->mig_count)
        return NVML_INVALID_ARGUMENT;
    call->mig = &call->gpu->migs[device->slot];
    call->part.gpu_instance = call->mig->gpu_instance;
    return NVML_SUCCESS;
}

struct call enter(const char *function, nvml_handle device)
{
    struct call call = {.result = NVML_SUCCESS, .part = {ANY, ANY}};
    call.machine = current_machine();
    call.now_us = now_us();
    if (device != NULL)
        call.result = find_device(&call, device);
    if (call.result == NVML_SUCCESS)
        call.result = scripted(&call, function);
    /* A forked child has the parent's memory but none of its file descriptors' standing with the driver. */
    if (call.result == NVML_SUCCESS && (!initialised || initialised_by != getpid()))
        call.result = NVML_UNINITIALIZED;
    return call;
}

nvml_handle gpu_handle(int gpu) { return &devices[gpu][0]; }

nvml_handle mig_handle(int gpu, int slot) { return &devices[gpu][1 + slot]; }

EXPORT nvml_return nvmlInitWithFlags(unsigned flags)
{
    struct call call = {.result = NVML_SUCCESS, .part = {ANY, ANY}};
    (void)flags;
    call.machine = current_machine();
    call.now_us = now_us();
    call.result = scripted(&call, __func__);
    if (call.result != NVML_SUCCESS)
        return call.result;
    if (initialised_by != getpid())
        initialised = 0;
    initialised_by = getpid();
    initialised++;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlShutdown(void)
{
    if (!initialised || initialised_by != getpid())
        return NVML_UNINITIALIZED;
    initialised--;
    return NVML_SUCCESS;
}
