/* base/library.h: libraries that are loaded when they are first needed (dlopen). */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct library_function {
    const char *name;
    void *to; /* a pointer to a function, of its type */
};

/* Fills in the functions' addresses; false when one is missing. ISO C has no cast for them, POSIX dlsym() asks for
 * this copy. */
static inline bool library_find(void *library, const struct library_function *functions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *at = dlsym(library, functions[i].name);
        if (!at)
            return false;
        memcpy(functions[i].to, &at, sizeof at);
    }
    return true;
}

/* Says in the program's own file which library it loads, for what makes packages and images, which can't see it in the
 * list of needed libraries: an ELF note as the UAPI Group's "ELF Notes for dlopen" describes it; `readelf --notes`
 * shows that there is one. */
enum { DLOPEN_NOTE_TYPE = 0x407c0c0a };

/* All literals: the library's soname, what it is for in one word and in a sentence, and "recommended" or "suggested".
 */
#define DLOPEN_NOTE_TEXT(soname, feature, description, priority)                                                       \
    "[{\"feature\":\"" feature "\",\"description\":\"" description "\",\"priority\":\"" priority                       \
    "\",\"soname\":[\"" soname "\"]}]"
#define DLOPEN_NOTE(name, ...)                                                                                         \
    static const struct {                                                                                              \
        uint32_t owner_size, text_size, type;                                                                          \
        char owner[4];                                                                                                 \
        _Alignas(4) char text[sizeof(DLOPEN_NOTE_TEXT(__VA_ARGS__))];                                                  \
    } name __attribute__((used, aligned(4), section(".note.dlopen"))) = {                                              \
        sizeof "FDO", sizeof(DLOPEN_NOTE_TEXT(__VA_ARGS__)), DLOPEN_NOTE_TYPE, "FDO", DLOPEN_NOTE_TEXT(__VA_ARGS__)    \
    }

#endif
