/* bench/histogram.h: times in classes that are at most a 64th wide, from 1 ns to an hour: percentiles of any number of
 * samples in one piece of memory. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_PARTS = 128, HISTOGRAM_CLASSES = HISTOGRAM_PARTS / 2 * 38 };

struct histogram {
    uint64_t count, classes[HISTOGRAM_CLASSES];
    int64_t max_ns;
};

/* Up to 127 each value has a class; from there each doubling has 64, since the first half of the parts would be the
 * doubling before. */
static inline size_t histogram_class_of(uint64_t ns)
{
    if (ns < HISTOGRAM_PARTS)
        return ns;
    const unsigned shift = 57 - (unsigned)__builtin_clzll(ns);
    const size_t class = (size_t)shift * (HISTOGRAM_PARTS / 2) + (size_t)(ns >> shift);
    return class < HISTOGRAM_CLASSES ? class : HISTOGRAM_CLASSES - 1;
}

static inline void histogram_add(struct histogram *histogram, int64_t ns)
{
    histogram->count++;
    histogram->classes[histogram_class_of(ns < 0 ? 0 : (uint64_t)ns)]++;
    if (ns > histogram->max_ns)
        histogram->max_ns = ns;
}

/* The upper end of the class in which the share is reached; the largest sample if that is less. 0: there are none. */
static inline int64_t histogram_at(const struct histogram *histogram, double share)
{
    uint64_t seen = 0;
    const uint64_t wanted = (uint64_t)((double)histogram->count * share);
    for (size_t i = 0; i < HISTOGRAM_CLASSES; i++) {
        seen += histogram->classes[i];
        if (seen <= wanted)
            continue;
        const size_t half = HISTOGRAM_PARTS / 2, shift = i < HISTOGRAM_PARTS ? 0 : i / half - 1;
        const int64_t end_ns = (int64_t)((i - shift * half + 1) << shift) - 1;
        return end_ns < histogram->max_ns ? end_ns : histogram->max_ns;
    }
    return histogram->max_ns;
}

#endif
