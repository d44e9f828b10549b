/* The machine's physics: closed forms over its jobs, so that an hour costs no more than an instant. */
#include "machine.h"

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

int job_is_in(const struct job *job, struct part part)
{
    return job->gpu == part.gpu && (part.gpu_instance == ANY || job->gpu_instance == part.gpu_instance);
}

int job_is_resident(const struct job *job, int64_t at_us)
{
    return job->start_us <= at_us && at_us < job->end_us;
}

static int64_t job_resident_us(const struct job *job, int64_t until_us)
{
    return clamp(until_us, job->start_us, job->end_us) - job->start_us;
}

int64_t job_busy_us(const struct job *job, int64_t until_us)
{
    int64_t resident = job_resident_us(job, until_us);
    int64_t burst = job->period_us * job->duty_permille / 1000;
    int64_t rest = resident % job->period_us;
    return resident / job->period_us * burst + (rest < burst ? rest : burst);
}

static int job_is_busy(const struct job *job, int64_t at_us)
{
    return job_is_resident(job, at_us) &&
           (at_us - job->start_us) % job->period_us < job->period_us * job->duty_permille / 1000;
}

int64_t memory_used_bytes(const struct machine *machine, struct part part, int64_t at_us)
{
    int64_t used = 0;
    for (int i = 0; i < machine->job_count; i++) {
        const struct job *job = &machine->jobs[i];
        if (job_is_in(job, part) && job_is_resident(job, at_us))
            used += job->memory_bytes;
    }
    return used;
}

int64_t power_mw(const struct machine *machine, int gpu, int64_t at_us)
{
    int64_t power = machine->gpus[gpu].idle_mw;
    for (int i = 0; i < machine->job_count; i++) {
        const struct job *job = &machine->jobs[i];
        if (job->gpu == gpu && job_is_resident(job, at_us))
            power += job->context_mw + (job_is_busy(job, at_us) ? job->active_mw : 0);
    }
    return power;
}

static int64_t integral_nj(const struct machine *machine, int gpu, int64_t until_us)
{
    int64_t energy = machine->gpus[gpu].idle_mw * (until_us - machine->booted_us);
    for (int i = 0; i < machine->job_count; i++) {
        const struct job *job = &machine->jobs[i];
        if (job->gpu == gpu)
            energy += job->context_mw * job_resident_us(job, until_us) + job->active_mw * job_busy_us(job, until_us);
    }
    return energy;
}

/* Power's integral since the driver was loaded, or since the last scripted reset; it moves in steps of 100 ms. */
int64_t energy_mj(const struct machine *machine, int gpu, int64_t at_us)
{
    int64_t step_us = at_us - at_us % ENERGY_STEP_US, since_us = machine->booted_us;
    for (int i = 0; i < machine->reset_count; i++) {
        const struct energy_reset *reset = &machine->resets[i];
        if (reset->gpu == gpu && reset->at_us <= at_us && reset->at_us > since_us)
            since_us = reset->at_us;
    }
    if (step_us < since_us)
        return 0;
    return (integral_nj(machine, gpu, step_us) - integral_nj(machine, gpu, since_us)) / 1000000;
}

/* The share of the sampling period that ends at sample_us in which kernels ran. Contexts of several processes are
 * time-sliced, so their shares add up. */
int utilization_percent(const struct machine *machine, int gpu, int64_t sample_us)
{
    int64_t busy_us = 0;
    for (int i = 0; i < machine->latch_count; i++) {
        const struct latch *latch = &machine->latches[i];
        if (latch->gpu == gpu && latch->from_us <= sample_us && sample_us < latch->until_us)
            return latch->percent;
    }
    for (int i = 0; i < machine->job_count; i++)
        if (machine->jobs[i].gpu == gpu)
            busy_us += job_busy_us(&machine->jobs[i], sample_us) -
                       job_busy_us(&machine->jobs[i], sample_us - SAMPLE_US);
    return (int)clamp((100 * busy_us + SAMPLE_US / 2) / SAMPLE_US, 0, 100);
}

int64_t ecc_uncorrected(const struct machine *machine, int gpu, int64_t at_us)
{
    int64_t count = 0;
    for (int i = 0; i < machine->ecc_count; i++)
        if (machine->eccs[i].gpu == gpu && machine->eccs[i].at_us <= at_us)
            count += machine->eccs[i].count;
    return count;
}
