/* tests/unit/folder.h: a folder of the test's own under TMPDIR, for key files and databases. */
#ifndef FOLDER_H
#define FOLDER_H

#include "unit.h"
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[256];

static inline void folder_make(void)
{
    const char *where = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/token-service-unit-XXXXXX", where ? where : "/tmp");
    if (!mkdtemp(folder))
        abort();
}

static inline int folder_remove_one(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    (void)about;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void folder_remove(void)
{
    (void)nftw(folder, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline int folder_begin(void **state)
{
    folder_make();
    return arena_begin(state);
}

static inline int folder_finish(void **state)
{
    folder_remove();
    return arena_finish(state);
}

/* A test with a fresh `arena` and an empty `folder`. */
#define TEST_IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, folder_begin, folder_finish)

static inline const char *in_folder(const char *name)
{
    return arena_printf(&arena, "%s/%s", folder, name).at;
}

static inline bool exists(const char *name)
{
    struct stat about;
    return lstat(in_folder(name), &about) == 0;
}

static inline unsigned mode_of(const char *path)
{
    struct stat about;
    assert_int_equal(lstat(path, &about), 0);
    return about.st_mode & 07777U;
}

static inline void write_text(const char *name, struct str text, unsigned mode)
{
    FILE *file = fopen(in_folder(name), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text.at, 1, text.len, file), text.len);
    fclose(file);
    assert_int_equal(chmod(in_folder(name), (mode_t)mode), 0);
}

static inline struct str read_text(const char *name)
{
    char *at = arena_alloc(&arena, 65536);
    FILE *file = fopen(in_folder(name), "re");
    assert_non_null(file);
    size_t len = fread(at, 1, 65536, file);
    fclose(file);
    return (struct str){ at, len };
}

#endif
