/* test_durable_file.c: a file is there whole under its name, or as it was. */
#include "base/durable_file.h"
#include "folder.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

static int open_folder(void)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    return dir;
}

static size_t files_of_folder(void)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries));) /* NOLINT(concurrency-mt-unsafe): ours */
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(entries);
    return count;
}

static void a_file_is_written_whole_for_its_owner_alone(void **state)
{
    char *large = arena_zalloc(&arena, 60000);
    const struct str texts[] = { STR("one"), { large, 60000 }, STR("") };
    int dir = open_folder();
    (void)state;
    const mode_t before = umask(0);
    for (size_t i = 0; i < COUNT(texts); i++) { /* each in the place of the one before */
        assert_true(durable_file_write(dir, "a", texts[i]));
        assert_true(str_eq(read_text("a"), texts[i]));
        assert_int_equal(mode_of(in_folder("a")), 0600);
        assert_int_equal(files_of_folder(), 1);
    }
    umask(before);
    close(dir);
}

static void one_that_cannot_be_written_leaves_what_was_there(void **state)
{
    int dir = open_folder();
    (void)state;
    assert_int_equal(mkdir(in_folder("a"), 0700), 0); /* no file takes its place */
    assert_false(durable_file_write(dir, "a", STR("text")));
    assert_int_equal(errno, EISDIR);
    assert_int_equal(files_of_folder(), 1);
    close(dir);
    assert_false(durable_file_write(dir, "b", STR("text")));
    assert_int_equal(errno, EBADF);
}

RUN(TEST_IN_FOLDER(a_file_is_written_whole_for_its_owner_alone),
    TEST_IN_FOLDER(one_that_cannot_be_written_leaves_what_was_there))
