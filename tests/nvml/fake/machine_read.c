/* Reads a machine's description: one thing per line, a word and then key=value pairs, as tests/nvml/machine.py
 * writes it. A line that is not understood is an error: a test must not pass on a machine that it did not ask for. */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 1024, MAX_PAIRS = 32 };

struct line {
    char text[LINE];
    char *word;
    char *keys[MAX_PAIRS], *values[MAX_PAIRS];
    int pairs, unread;
};

static int split(struct line *line)
{
    char *rest = NULL;
    line->pairs = 0;
    line->word = strtok_r(line->text, " \n", &rest);
    if (line->word == NULL || line->word[0] == '#')
        return 0;
    for (char *pair; (pair = strtok_r(NULL, " \n", &rest)) != NULL && line->pairs < MAX_PAIRS; line->pairs++) {
        line->keys[line->pairs] = pair;
        line->values[line->pairs] = strchr(pair, '=');
        if (line->values[line->pairs] == NULL)
            return -1;
        *line->values[line->pairs]++ = '\0';
    }
    line->unread = line->pairs;
    return 1;
}

static const char *text(struct line *line, const char *key)
{
    for (int i = 0; i < line->pairs; i++)
        if (strcmp(line->keys[i], key) == 0) {
            line->unread--;
            return line->values[i];
        }
    return NULL;
}

static int64_t number(struct line *line, const char *key, int64_t otherwise)
{
    const char *value = text(line, key);
    char *end = NULL;
    int64_t read = value == NULL ? otherwise : strtoll(value, &end, 10);
    if (value != NULL && (*value == '\0' || *end != '\0'))
        line->unread = LINE; /* never 0 again: the line is refused */
    return read;
}

static void copy(struct line *line, const char *key, char *into, size_t size)
{
    const char *value = text(line, key);
    snprintf(into, size, "%s", value == NULL ? "" : value);
    for (char *c = into; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
}

static void read_gpu(struct line *line, struct gpu *gpu)
{
    copy(line, "uuid", gpu->uuid, sizeof gpu->uuid);
    copy(line, "name", gpu->name, sizeof gpu->name);
    copy(line, "bus", gpu->bus, sizeof gpu->bus);
    gpu->architecture = (int)number(line, "architecture", 9);
    gpu->minor = (int)number(line, "minor", 0);
    gpu->has_gpm = (int)number(line, "gpm", 0);
    gpu->has_energy = (int)number(line, "energy", 1);
    gpu->has_memory_v2 = (int)number(line, "memory_v2", 1);
    gpu->process_struct_bytes = (int)number(line, "process_struct_bytes", 24);
    gpu->memory_bytes = number(line, "memory_bytes", 0);
    gpu->reserved_bytes = number(line, "reserved_bytes", 0);
    gpu->idle_mw = number(line, "idle_mw", 0);
}

static int read_mig(struct line *line, struct machine *machine)
{
    int64_t gpu = number(line, "gpu", ANY);
    if (gpu < 0 || gpu >= machine->gpu_count || machine->gpus[gpu].mig_count == MAX_MIGS)
        return -1;
    struct mig *mig = &machine->gpus[gpu].migs[machine->gpus[gpu].mig_count++];
    copy(line, "uuid", mig->uuid, sizeof mig->uuid);
    copy(line, "name", mig->name, sizeof mig->name);
    mig->index = (int)number(line, "index", 0);
    mig->gpu_instance = (int)number(line, "gi", 0);
    mig->compute_instance = (int)number(line, "ci", 0);
    mig->slices = (int)number(line, "slices", 1);
    mig->memory_bytes = number(line, "memory_bytes", 0);
    return 0;
}

static void read_job(struct line *line, struct job *job)
{
    job->gpu = (int)number(line, "gpu", 0);
    job->gpu_instance = (int)number(line, "gi", ANY);
    job->compute_instance = (int)number(line, "ci", ANY);
    job->pid = (int)number(line, "pid", 0);
    job->kind = (int)number(line, "kind", COMPUTE);
    job->is_listed = (int)number(line, "listed", 1);
    job->start_us = 1000 * number(line, "start_ms", 0);
    job->end_us = 1000 * number(line, "end_ms", INT64_MAX / 1000);
    job->period_us = 1000 * number(line, "period_ms", 1000);
    job->memory_bytes = number(line, "memory_bytes", 0);
    job->context_mw = number(line, "context_mw", 0);
    job->active_mw = number(line, "active_mw", 0);
    job->duty_permille = (int)number(line, "duty_permille", 1000);
    job->sm_permille = (int)number(line, "sm_permille", 800);
    job->occupancy_permille = (int)number(line, "occupancy_permille", 400);
    job->tensor_permille = (int)number(line, "tensor_permille", 300);
    job->dram_permille = (int)number(line, "dram_permille", 200);
}

static void read_event(struct line *line, struct event *event)
{
    event->gpu = (int)number(line, "gpu", 0);
    event->gpu_instance = (int)number(line, "gi", ANY);
    event->compute_instance = (int)number(line, "ci", ANY);
    event->at_us = 1000 * number(line, "at_ms", 0);
    event->type = (uint64_t)number(line, "type", 8);
    event->data = (uint64_t)number(line, "data", 0);
}

static void read_fault(struct line *line, struct fault *fault)
{
    const char *call = text(line, "call");
    snprintf(fault->call, sizeof fault->call, "%s", call == NULL ? "*" : call);
    fault->gpu = (int)number(line, "gpu", ANY);
    fault->result = (int)number(line, "result", HANG);
    fault->from_us = 1000 * number(line, "from_ms", 0);
    fault->until_us = 1000 * number(line, "until_ms", INT64_MAX / 1000);
}

static int read_line(struct line *line, struct machine *machine)
{
    if (strcmp(line->word, "system") == 0) {
        copy(line, "driver", machine->driver, sizeof machine->driver);
        copy(line, "nvml", machine->nvml, sizeof machine->nvml);
        machine->booted_us = 1000 * number(line, "booted_ms", 0);
    } else if (strcmp(line->word, "gpu") == 0 && machine->gpu_count < MAX_GPUS) {
        read_gpu(line, &machine->gpus[machine->gpu_count++]);
    } else if (strcmp(line->word, "mig") == 0) {
        if (read_mig(line, machine) != 0)
            return -1;
    } else if (strcmp(line->word, "job") == 0 && machine->job_count < MAX_JOBS) {
        read_job(line, &machine->jobs[machine->job_count++]);
    } else if (strcmp(line->word, "event") == 0 && machine->event_count < MAX_EVENTS) {
        read_event(line, &machine->events[machine->event_count++]);
    } else if (strcmp(line->word, "ecc") == 0 && machine->ecc_count < MAX_EVENTS) {
        struct ecc *ecc = &machine->eccs[machine->ecc_count++];
        *ecc = (struct ecc){(int)number(line, "gpu", 0), 1000 * number(line, "at_ms", 0), number(line, "count", 1)};
    } else if (strcmp(line->word, "energy_reset") == 0 && machine->reset_count < MAX_EVENTS) {
        struct energy_reset *reset = &machine->resets[machine->reset_count++];
        *reset = (struct energy_reset){(int)number(line, "gpu", 0), 1000 * number(line, "at_ms", 0)};
    } else if (strcmp(line->word, "latch") == 0 && machine->latch_count < MAX_EVENTS) {
        struct latch *latch = &machine->latches[machine->latch_count++];
        *latch = (struct latch){(int)number(line, "gpu", 0), (int)number(line, "percent", 100),
                                1000 * number(line, "from_ms", 0), 1000 * number(line, "until_ms", 0)};
    } else if (strcmp(line->word, "fault") == 0 && machine->fault_count < MAX_FAULTS) {
        read_fault(line, &machine->faults[machine->fault_count++]);
    } else {
        return -1;
    }
    return line->unread == 0 ? 0 : -1;
}

int machine_read(const char *path, struct machine *machine)
{
    struct line line;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    memset(machine, 0, sizeof *machine);
    for (int row = 1; fgets(line.text, sizeof line.text, file) != NULL; row++) {
        int has_pairs = split(&line);
        if (has_pairs < 0 || (has_pairs > 0 && read_line(&line, machine) != 0)) {
            fprintf(stderr, "fake nvml: %s:%d is not understood: %s\n", path, row, line.word);
            fclose(file);
            return -1;
        }
    }
    fclose(file);
    return 0;
}
