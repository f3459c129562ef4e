/* base/sentence.c: a table that only grows; entries never move, so a reader needs no lock beyond their number. */
#include "base/sentence.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static struct {
    const char *text, *for_callers;
} kept[SENTENCES_MAX];
static atomic_size_t count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* With the lock. NULL when there is no room. */
static const char *sentence_find_or_add(const char *for_callers, const char *text)
{
    const size_t now = atomic_load_explicit(&count, memory_order_relaxed);
    for (size_t i = 0; i < now; i++)
        if (strcmp(kept[i].text, text) == 0)
            return kept[i].text;
    if (now == SENTENCES_MAX)
        return NULL;
    const size_t size = strlen(text) + 1;
    char *copy = mem_alloc(size);
    memcpy(copy, text, size);
    kept[now].text = copy;
    kept[now].for_callers = for_callers;
    atomic_store_explicit(&count, now + 1, memory_order_release);
    return copy;
}

const char *sentence_keep(const char *for_callers, const char *format, ...)
{
    char text[SENTENCE_ROOM];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    const char *found = sentence_find_or_add(for_callers, text);
    pthread_mutex_unlock(&lock);
    return found ? found : for_callers;
}

const char *sentence_for_callers(const char *why)
{
    const size_t now = atomic_load_explicit(&count, memory_order_acquire);
    for (size_t i = 0; i < now; i++)
        if (kept[i].text == why)
            return kept[i].for_callers;
    return why;
}
