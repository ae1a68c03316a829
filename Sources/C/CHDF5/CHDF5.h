// HDF5's predefined types, flags and property-list classes are macros over globals that Swift cannot import;
// the functions here hand them out.
#pragma once
#include <hdf5.h>
#include <stdio.h>
#include <string.h>

static inline hid_t peco_h5_native_float(void) { return H5T_NATIVE_FLOAT; }
static inline hid_t peco_h5_native_double(void) { return H5T_NATIVE_DOUBLE; }
static inline hid_t peco_h5_native_int32(void) { return H5T_NATIVE_INT32; }
static inline hid_t peco_h5_native_int64(void) { return H5T_NATIVE_INT64; }
static inline hid_t peco_h5_native_uint8(void) { return H5T_NATIVE_UINT8; }
static inline hid_t peco_h5_native_uint16(void) { return H5T_NATIVE_UINT16; }
static inline hid_t peco_h5_native_uint32(void) { return H5T_NATIVE_UINT32; }
static inline hid_t peco_h5_native_uint64(void) { return H5T_NATIVE_UINT64; }

// Turns off HDF5's printing of errors to standard error. The error stack belongs to the calling thread.
static inline void peco_h5_silence(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

// A UTF-8 string type of variable length, as h5py writes `str`; the caller closes it.
static inline hid_t peco_h5_string_type(void) {
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type < 0) return type;
  if (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
    H5Tclose(type);
    return -1;
  }
  return type;
}

// How a file is opened; the caller closes it. `locked`: whether others are kept from opening it meanwhile. The variable
// HDF5_USE_FILE_LOCKING goes before, and decides alone where the library cannot be told otherwise.
static inline hid_t peco_h5_file_access(int locked) {
  hid_t list = H5Pcreate(H5P_FILE_ACCESS);
  if (list < 0) return list;
  H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
  // From version 1.8 on the format checksums what describes the arrays, too.
  H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
  H5Pset_file_locking(list, locked != 0, 1);
#else
  (void)locked;
#endif
  return list;
}

// How an object of a class is created; the caller closes it. It has no times, so that the same contents are the same
// bytes whenever they are written.
static inline hid_t peco_h5_object_creation(hid_t class) {
  hid_t list = H5Pcreate(class);
  if (list >= 0) H5Pset_obj_track_times(list, 0);
  return list;
}

static inline hid_t peco_h5_group_creation(void) { return peco_h5_object_creation(H5P_GROUP_CREATE); }

// How a dataset of strings is created: as HDF5 does by default.
static inline hid_t peco_h5_string_creation(void) { return peco_h5_object_creation(H5P_DATASET_CREATE); }

// How a file is created; the caller closes it. `user_block`: bytes at the start of the file that HDF5 leaves alone,
// 0 or a power of two from 512.
static inline hid_t peco_h5_file_creation(hsize_t user_block) {
  hid_t list = peco_h5_object_creation(H5P_FILE_CREATE);
  if (list >= 0) H5Pset_userblock(list, user_block);
  return list;
}

static inline hid_t peco_h5_create_file(const char *path, hid_t creation, hid_t access) {
  return H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
}

static inline hid_t peco_h5_open_file(const char *path, hid_t access) {
  return H5Fopen(path, H5F_ACC_RDONLY, access);
}

// A link-creation list for names in UTF-8; the caller closes it.
static inline hid_t peco_h5_link_creation(void) {
  hid_t list = H5Pcreate(H5P_LINK_CREATE);
  if (list < 0) return list;
  H5Pset_char_encoding(list, H5T_CSET_UTF8);
  return list;
}

// How a dataset lies in the file: contiguous and allocated at once (rank 0 or chunk NULL), or chunked with
// Fletcher-32 checksums.
static inline hid_t peco_h5_dataset_creation(int rank, const hsize_t *chunk) {
  hid_t list = peco_h5_object_creation(H5P_DATASET_CREATE);
  if (list < 0) return list;
  // Every element is written by its owner; filling first would write the payload twice.
  H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
  if (rank > 0 && chunk != NULL) {
    if (H5Pset_chunk(list, rank, chunk) < 0 || H5Pset_fletcher32(list) < 0) {
      H5Pclose(list);
      return -1;
    }
  } else {
    H5Pset_layout(list, H5D_CONTIGUOUS);
    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY);
  }
  return list;
}

static inline int peco_h5_flush(hid_t file) { return H5Fflush(file, H5F_SCOPE_GLOBAL); }

static inline int peco_h5_read(hid_t set, hid_t type, hid_t memory, hid_t file, void *into) {
  return H5Dread(set, type, memory, file, H5P_DEFAULT, into);
}

static inline int peco_h5_write(hid_t set, hid_t type, hid_t memory, hid_t file, const void *from) {
  return H5Dwrite(set, type, memory, file, H5P_DEFAULT, from);
}

static inline int peco_h5_reclaim(hid_t type, hid_t space, void *strings) {
  return H5Dvlen_reclaim(type, space, H5P_DEFAULT, strings);
}

// The file offset of a contiguous dataset's payload, or UINT64_MAX when it has none.
static inline unsigned long long peco_h5_offset(hid_t set) {
  haddr_t offset = H5Dget_offset(set);
  return offset == HADDR_UNDEF ? ~0ULL : (unsigned long long)offset;
}

// One call a link of a group, in the order of names.
typedef void (*peco_h5_visit)(const char *name, void *context);
typedef struct {
  peco_h5_visit visit;
  void *context;
} peco_h5_visitor;

#if H5_VERSION_GE(1, 12, 0)
static inline herr_t peco_h5_visit_link(hid_t group, const char *name, const H5L_info2_t *info, void *data) {
#else
static inline herr_t peco_h5_visit_link(hid_t group, const char *name, const H5L_info_t *info, void *data) {
#endif
  (void)group;
  (void)info;
  peco_h5_visitor *visitor = (peco_h5_visitor *)data;
  visitor->visit(name, visitor->context);
  return 0;
}

static inline int peco_h5_links(hid_t group, peco_h5_visit visit, void *context) {
  peco_h5_visitor visitor = {visit, context};
#if H5_VERSION_GE(1, 12, 0)
  return H5Literate2(group, H5_INDEX_NAME, H5_ITER_INC, NULL, peco_h5_visit_link, &visitor);
#else
  return H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, peco_h5_visit_link, &visitor);
#endif
}

// The innermost description on this thread's error stack, or the one that carries an errno.
typedef struct {
  char text[512];
  int has_errno;
} peco_h5_failure;

static inline herr_t peco_h5_note_failure(unsigned depth, const H5E_error2_t *error, void *data) {
  peco_h5_failure *failure = (peco_h5_failure *)data;
  const char *text = error->desc ? error->desc : "";
  int has_errno = strstr(text, "errno = ") != NULL;
  if ((depth == 0 || failure->text[0] == 0 || (has_errno && !failure->has_errno)) && text[0] != 0) {
    snprintf(failure->text, sizeof failure->text, "%s", text);
    failure->has_errno = has_errno;
  }
  return 0;
}

static inline void peco_h5_last_failure(peco_h5_failure *failure) {
  memset(failure, 0, sizeof *failure);
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, peco_h5_note_failure, failure);
}

static inline const char *peco_h5_failure_text(const peco_h5_failure *failure) { return failure->text; }
