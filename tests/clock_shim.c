/* Preloaded into a server, this moves its wall clock by the seconds in the file CLOCK_OFFSET_FILE, while it runs.
   The monotonic clock stays. (libfaketime 0.9.10 cannot be used: it breaks clock_nanosleep, and so Python's sleep.) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t which, struct timespec *moment) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(which, moment);
    const char *path = getenv("CLOCK_OFFSET_FILE");
    if (which == CLOCK_REALTIME && path) {
        long offset = 0;
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%ld", &offset) == 1) moment->tv_sec += offset;
            fclose(file);
        }
    }
    return result;
}
