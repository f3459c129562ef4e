/* observe/log_writer.c: a ring of bytes between any number of threads and the one that writes. A line is a word with
 * its length and then its bytes, rounded up to words. A thread with a line moves `reserved` past its room, by compare
 * and swap, then fills it and sets the length last: until then the writer waits there. The writer clears what it has
 * copied, so that it never reads a length that was not set, and moves `taken` past it. */
#include "observe/log_writer.h"
#include "base/clock.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum {
    RING_BYTES = 256 * 1024, /* about a thousand lines: what a second may bring (log.c) */
    URGENT_BYTES = RING_BYTES / 4,
    WORD = sizeof(uint64_t),
    STOP_MS = 2000,
};

enum state { WRITES_ITSELF, HAS_WRITER, CLOSED };

static _Atomic uint64_t ring[RING_BYTES / WORD];
static _Alignas(64) _Atomic uint64_t reserved; /* bytes, ever; so is the next */
static _Alignas(64) _Atomic uint64_t taken;
static atomic_int state = WRITES_ITSELF;
static atomic_bool is_asleep, is_ending, has_ended;
static _Atomic uint64_t lost;
static sem_t woken;
static pthread_t writer;

static bool log_writer_write_all(struct str line)
{
    while (line.len > 0) {
        ssize_t done = write(STDERR_FILENO, line.at, line.len);
        if (done < 0 && errno == EAGAIN) { /* somebody else's setting, of a pipe that is shared */
            struct pollfd writable = { .fd = STDERR_FILENO, .events = POLLOUT };
            (void)poll(&writable, 1, -1);
            continue;
        }
        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0)
            line = (struct str){ line.at + done, line.len - (size_t)done };
    }
    return true;
}

/* --- the ring ---------------------------------------------------------------------------------------------------- */

static _Atomic uint64_t *log_writer_length_at(uint64_t position)
{
    return &ring[position % RING_BYTES / WORD];
}

static uint64_t log_writer_size_of(uint64_t len)
{
    return WORD + (len + WORD - 1) / WORD * WORD;
}

/* The bytes of a line whose room begins at `position`: two pieces when it goes over the ring's end. */
static char *log_writer_piece_of(uint64_t position, size_t done, size_t len, size_t *size)
{
    size_t at = (size_t)((position + WORD + done) % RING_BYTES);
    *size = len - done < RING_BYTES - at ? len - done : RING_BYTES - at;
    return (char *)ring + at;
}

static bool log_writer_reserve(uint64_t size, uint64_t limit, uint64_t *position)
{
    *position = atomic_load_explicit(&reserved, memory_order_relaxed);
    do {
        uint64_t end = atomic_load_explicit(&taken, memory_order_acquire) + limit;
        if (*position + size > end)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&reserved, position, *position + size, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static void log_writer_wake(void)
{
    if (atomic_load(&is_asleep) && atomic_exchange(&is_asleep, false))
        sem_post(&woken);
}

static bool log_writer_put_line(struct str line, bool is_urgent)
{
    uint64_t position;
    if (!log_writer_reserve(log_writer_size_of(line.len), is_urgent ? RING_BYTES : RING_BYTES - URGENT_BYTES,
                            &position))
        return false;
    for (size_t done = 0, size; done < line.len; done += size) {
        char *piece = log_writer_piece_of(position, done, line.len, &size);
        memcpy(piece, line.at + done, size);
    }
    atomic_store(log_writer_length_at(position),
                 line.len); /* before is_asleep is read: one of both sides sees the other */
    log_writer_wake();
    return true;
}

/* The writer's: the oldest line, out of the ring; {NULL, 0} when there is none. */
static struct str log_writer_take(char to[LOG_LINE_MAX])
{
    uint64_t position = atomic_load_explicit(&taken, memory_order_relaxed);
    size_t len = (size_t)atomic_load(log_writer_length_at(position));
    if (len == 0)
        return (struct str){ NULL, 0 };
    for (size_t done = 0, size; done < len; done += size) {
        char *piece = log_writer_piece_of(position, done, len, &size);
        memcpy(to + done, piece, size);
        memset(piece, 0, size);
    }
    atomic_store_explicit(log_writer_length_at(position), 0, memory_order_relaxed);
    atomic_store_explicit(&taken, position + log_writer_size_of(len), memory_order_release);
    return (struct str){ to, len };
}

/* --- the thread -------------------------------------------------------------------------------------------------- */

/* Until there is something, or it is to end. */
static void log_writer_sleep_a_while(void)
{
    atomic_store(&is_asleep, true);
    bool has_work = atomic_load(log_writer_length_at(atomic_load_explicit(&taken, memory_order_relaxed))) > 0;
    if ((has_work || atomic_load(&is_ending)) && atomic_exchange(&is_asleep, false))
        return;
    while (sem_wait(&woken) != 0)
        continue; /* EINTR */
}

static void *log_writer_write_on(void *arg)
{
    char room[LOG_LINE_MAX];
    (void)arg;
    pthread_setname_np(pthread_self(), "log");
    for (;;) {
        bool is_last = atomic_load(&is_ending); /* before looking: what was put before it is there by now */
        struct str line = log_writer_take(room);
        if (line.len > 0 && !log_writer_write_all(line))
            log_writer_lose(COUNT_LOG_FAILED);
        if (line.len == 0 && is_last)
            break;
        if (line.len == 0)
            log_writer_sleep_a_while();
    }
    atomic_store(&has_ended, true);
    return NULL;
}

struct err log_writer_start(void)
{
    sigset_t all, before;
    sem_init(&woken, 0, 0);
    atomic_store(&is_ending, false);
    atomic_store(&has_ended, false);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the main thread's */
    bool good = pthread_create(&writer, NULL, log_writer_write_on, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!good)
        return failed(ERR_INTERNAL, "the thread that writes the log could not be started");
    atomic_store(&state, HAS_WRITER);
    return OK;
}

void log_writer_stop(void)
{
    if (atomic_load(&state) != HAS_WRITER)
        return;
    atomic_store(&state, CLOSED);
    atomic_store(&is_ending, true);
    log_writer_wake();
    for (int64_t end_ms = clock_ms() + STOP_MS; !atomic_load(&has_ended) && clock_ms() < end_ms;)
        clock_sleep_ms(1);
    if (!atomic_load(&has_ended)) { /* it hangs in write(2), and ends with the process */
        pthread_detach(writer);
        return;
    }
    pthread_join(writer, NULL);
    sem_destroy(&woken);
    atomic_store(&state, WRITES_ITSELF);
}

/* --- for log.c --------------------------------------------------------------------------------------------------- */

void log_writer_put(struct str line, bool is_urgent)
{
    const int now = atomic_load_explicit(&state, memory_order_relaxed);
    if (now == WRITES_ITSELF && !log_writer_write_all(line))
        log_writer_lose(COUNT_LOG_FAILED);
    else if (now == CLOSED || (now == HAS_WRITER && !log_writer_put_line(line, is_urgent)))
        log_writer_lose(COUNT_LOG_FULL);
}

void log_writer_lose(enum counter why)
{
    metrics_count(why, 1);
    atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

uint64_t log_writer_take_lost(void)
{
    return atomic_exchange_explicit(&lost, 0, memory_order_relaxed);
}
