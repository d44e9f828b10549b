/* A described machine: what its GPUs do is a pure function of the description and of the instant asked for.
 * Every instant here is microseconds UTC since the epoch; powers are milliwatts, so an integral is nanojoules. */
#ifndef ALLOT_MACHINE_H
#define ALLOT_MACHINE_H

#include <stdint.h>

enum { MAX_GPUS = 16, MAX_MIGS = 7, MAX_JOBS = 512, MAX_EVENTS = 256, MAX_FAULTS = 128, TEXT = 96 };
enum { ANY = -1, HANG = -1 };
enum { SAMPLE_US = 166667, UTILIZATION_RING = 100, PROCESS_RING = 72, ENERGY_STEP_US = 100000 };

enum process_kind { COMPUTE, GRAPHICS, MPS };

struct mig {
    char uuid[TEXT], name[TEXT];
    int index, gpu_instance, compute_instance, slices;
    int64_t memory_bytes;
};

struct gpu {
    char uuid[TEXT], name[TEXT], bus[32];
    int architecture, minor, has_gpm, has_energy, process_struct_bytes, has_memory_v2;
    int64_t memory_bytes, reserved_bytes, idle_mw;
    int mig_count;
    struct mig migs[MAX_MIGS];
};

/* Kernels run for duty_permille of every period; a resident context costs context_mw, running ones active_mw.
 * pid 0 is memory that no process holds; an unlisted job shows in utilisation samples only. */
struct job {
    int gpu, gpu_instance, compute_instance, pid, kind, is_listed;
    int64_t start_us, end_us, period_us;
    int64_t memory_bytes, context_mw, active_mw;
    int duty_permille, sm_permille, occupancy_permille, tensor_permille, dram_permille;
};

struct event { int gpu, gpu_instance, compute_instance; int64_t at_us; uint64_t type, data; };
struct ecc { int gpu; int64_t at_us, count; };
struct energy_reset { int gpu; int64_t at_us; };
struct latch { int gpu, percent; int64_t from_us, until_us; };
struct fault { char call[TEXT]; int gpu, result; int64_t from_us, until_us; };

struct machine {
    char driver[TEXT], nvml[TEXT];
    int64_t booted_us;
    int gpu_count, job_count, event_count, ecc_count, reset_count, latch_count, fault_count;
    struct gpu gpus[MAX_GPUS];
    struct job jobs[MAX_JOBS];
    struct event events[MAX_EVENTS];
    struct ecc eccs[MAX_EVENTS];
    struct energy_reset resets[MAX_EVENTS];
    struct latch latches[MAX_EVENTS];
    struct fault faults[MAX_FAULTS];
};

/* Which part of a GPU is asked about: all of it, or one MIG instance. */
struct part { int gpu, gpu_instance; };

int machine_read(const char *path, struct machine *machine);

int job_is_in(const struct job *job, struct part part);
int job_is_resident(const struct job *job, int64_t at_us);
int64_t job_busy_us(const struct job *job, int64_t until_us);

int64_t memory_used_bytes(const struct machine *machine, struct part part, int64_t at_us);
int64_t power_mw(const struct machine *machine, int gpu, int64_t at_us);
int64_t energy_mj(const struct machine *machine, int gpu, int64_t at_us);
int utilization_percent(const struct machine *machine, int gpu, int64_t sample_us);
int64_t ecc_uncorrected(const struct machine *machine, int gpu, int64_t at_us);

#endif
