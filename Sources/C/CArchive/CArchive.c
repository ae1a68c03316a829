#define _GNU_SOURCE
#include "CArchive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

struct peco_archive {
  struct archive *reader;
  struct archive_entry *entry;
  locale_t locale;
  peco_archive_source source;
  peco_archive_seek seek;
  void *context;
  int failed;
};

static la_ssize_t give(struct archive *reader, void *data, const void **bytes) {
  peco_archive *archive = data;
  long long count = archive->source(archive->context, bytes);
  if (count < 0) archive_set_error(reader, EIO, "cannot read");
  return (la_ssize_t)count;
}

static la_int64_t move(struct archive *reader, void *data, la_int64_t offset, int whence) {
  peco_archive *archive = data;
  long long position = archive->seek(archive->context, offset, whence);
  if (position < 0) archive_set_error(reader, EIO, "cannot seek");
  return position < 0 ? ARCHIVE_FATAL : position;
}

// libarchive converts names from UTF-8 to the locale's encoding, and composes accents on the way. In the locale C a name
// in a tar that is more than ASCII cannot be converted, and is left as it is. A zip's would be lost, and is converted to
// UTF-8.
static locale_t naming_locale(int is_zip) {
  locale_t locale = is_zip ? newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0) : (locale_t)0;
  if (is_zip && !locale) locale = newlocale(LC_CTYPE_MASK, "en_US.UTF-8", (locale_t)0);
  return locale ? locale : newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
}

peco_archive *peco_archive_open(peco_archive_source source, peco_archive_seek seek, void *context, int is_zip) {
  peco_archive *archive = calloc(1, sizeof *archive);
  if (archive == NULL) return NULL;
  archive->source = source;
  archive->seek = seek;
  archive->context = context;
  archive->locale = naming_locale(is_zip);
  archive->reader = archive_read_new();
  if (archive->reader == NULL || !archive->locale) {
    peco_archive_close(archive);
    return NULL;
  }
  // No filter that starts a program, and no format that nobody packs images in.
  archive_read_support_filter_gzip(archive->reader);
  archive_read_support_filter_bzip2(archive->reader);
  archive_read_support_filter_xz(archive->reader);
  archive_read_support_filter_zstd(archive->reader);
  archive_read_support_format_tar(archive->reader);
  if (is_zip) archive_read_support_format_zip(archive->reader);
  // Names of the Macintosh's own second copies are names like others.
  archive_read_set_format_option(archive->reader, "tar", "mac-ext", NULL);
  if (is_zip) archive_read_set_format_option(archive->reader, "zip", "mac-ext", NULL);
  return archive;
}

static int open_now(peco_archive *archive) {
  archive_read_set_callback_data(archive->reader, archive);
  archive_read_set_read_callback(archive->reader, give);
  if (archive->seek) archive_read_set_seek_callback(archive->reader, move);
  return archive_read_open1(archive->reader);
}

static int next_entry(peco_archive *archive) {
  int is_first = archive->entry == NULL && !archive->failed;
  if (is_first && open_now(archive) != ARCHIVE_OK) return ARCHIVE_FATAL;
  return archive_read_next_header(archive->reader, &archive->entry);
}

int peco_archive_next(peco_archive *archive, peco_archive_member *member) {
  if (archive->failed) return PECO_ARCHIVE_DAMAGED;
  locale_t before = uselocale(archive->locale);
  int result = next_entry(archive);
  int goes_on = result == ARCHIVE_OK || result == ARCHIVE_WARN;
  if (goes_on) {
    struct archive_entry *entry = archive->entry;
    member->name = archive_entry_pathname(entry);
    member->target = archive_entry_hardlink(entry);
    member->is_encrypted = archive_entry_is_data_encrypted(entry);
    member->size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : -1;
    unsigned type = archive_entry_filetype(entry);
    member->kind = member->target       ? PECO_ARCHIVE_HARD_LINK
                   : type == AE_IFREG   ? PECO_ARCHIVE_FILE
                   : type == AE_IFDIR   ? PECO_ARCHIVE_FOLDER
                   : type == AE_IFLNK   ? PECO_ARCHIVE_SYMBOLIC_LINK
                                        : PECO_ARCHIVE_SPECIAL;
  }
  uselocale(before);
  if (goes_on) return PECO_ARCHIVE_GO;
  archive->failed = 1;
  return result == ARCHIVE_EOF ? PECO_ARCHIVE_END : PECO_ARCHIVE_DAMAGED;
}

int peco_archive_read(peco_archive *archive, const void **bytes, size_t *count, long long *offset) {
  la_int64_t place = 0;
  *bytes = NULL;
  *count = 0;
  int result = archive_read_data_block(archive->reader, bytes, count, &place);
  *offset = place;
  switch (result) {
    case ARCHIVE_OK: return PECO_ARCHIVE_GO;
    case ARCHIVE_EOF: return PECO_ARCHIVE_END;
    // A sum that is wrong, or a way of packing that is not known.
    case ARCHIVE_WARN:
    case ARCHIVE_FAILED: return PECO_ARCHIVE_MEMBER_DAMAGED;
    default: archive->failed = 1; return PECO_ARCHIVE_DAMAGED;
  }
}

long long peco_archive_unpacked(peco_archive *archive) { return archive_filter_bytes(archive->reader, 0); }

// What libarchive says of data that no format takes for its own; its header does not have it.
#ifdef EFTYPE
#define UNKNOWN_FORMAT EFTYPE
#else
#define UNKNOWN_FORMAT EILSEQ
#endif

int peco_archive_is_recognized(peco_archive *archive) {
  return archive_format(archive->reader) != 0 || archive_errno(archive->reader) != UNKNOWN_FORMAT;
}

const char *peco_archive_message(peco_archive *archive) {
  const char *message = archive_error_string(archive->reader);
  return message ? message : "unknown error";
}

void peco_archive_close(peco_archive *archive) {
  if (archive->reader) archive_read_free(archive->reader);
  if (archive->locale) freelocale(archive->locale);
  free(archive);
}
