/*
 * A clock of its own for one process: the time of day, as the C library tells it, plus the seconds in the file that
 * CHAOS_CLOCK names. Whoever writes the file has the clock jump at once. All other clocks go on as they are.
 *
 * Without headers, so that a compiler alone is enough: cc -shared -fPIC -O2 -o clock.so clock.c
 */

struct timespec { long seconds, nanoseconds; };
struct timeval { long seconds, microseconds; };

extern void *dlsym(void *, const char *);
extern char *getenv(const char *);
extern int open(const char *, int, ...);
extern int close(int);
extern void *mmap(void *, unsigned long, int, int, int, long);

/* glibc's RTLD_NEXT; Linux's O_RDONLY | O_CLOEXEC, PROT_READ, MAP_SHARED and the two clocks of the time of day. */
#define NEXT ((void *)-1L)
#define READ_ONLY 02000000
#define CAN_READ 1
#define SHARED 1
#define TIME_OF_DAY 0
#define TIME_OF_DAY_COARSE 5

static int (*real_clock)(int, struct timespec *);
static int (*real_day)(struct timeval *, void *);
static const volatile long *offset;

__attribute__((constructor)) static void prepare(void)
{
    const char *name = getenv("CHAOS_CLOCK");
    int file;
    void *found;

    if (!real_clock) {
        *(void **)&real_day = dlsym(NEXT, "gettimeofday");
        *(void **)&real_clock = dlsym(NEXT, "clock_gettime");
    }
    if (offset || !name || (file = open(name, READ_ONLY)) < 0)
        return;
    found = mmap((void *)0, sizeof *offset, CAN_READ, SHARED, file, 0);
    close(file);
    if (found != (void *)-1L)
        offset = found;
}

int clock_gettime(int which, struct timespec *now)
{
    int answer;

    if (!real_clock)
        prepare();
    answer = real_clock(which, now);
    if (answer == 0 && offset && (which == TIME_OF_DAY || which == TIME_OF_DAY_COARSE))
        now->seconds += *offset;
    return answer;
}

int gettimeofday(struct timeval *now, void *zone)
{
    int answer;

    if (!real_day)
        prepare();
    answer = real_day(now, zone);
    if (answer == 0 && offset)
        now->seconds += *offset;
    return answer;
}

long time(long *where)
{
    struct timespec now;

    clock_gettime(TIME_OF_DAY, &now);
    if (where)
        *where = now.seconds;
    return now.seconds;
}
