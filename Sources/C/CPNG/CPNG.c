#include "CPNG.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Everything a longjmp must find again lives here, not in locals.
typedef struct {
  const uint8_t *bytes;
  size_t count;
  size_t position;
  uint8_t *output;
  size_t capacity;
  uint8_t *scratch;
  peco_png_report *report;
} png_state;

static void leave(png_structp codec, png_const_charp text) {
  png_state *state = png_get_error_ptr(codec);
  snprintf(state->report->message, sizeof state->report->message, "%s", text);
  png_longjmp(codec, 1);
}

static void note(png_structp codec, png_const_charp text) {
  png_state *state = png_get_error_ptr(codec);
  if (state->report->warnings++ == 0) {
    snprintf(state->report->message, sizeof state->report->message, "%s", text);
  }
}

static void take(png_structp codec, png_bytep into, size_t count) {
  png_state *state = png_get_io_ptr(codec);
  if (count > state->count - state->position) {
    state->report->truncated = 1;
    png_error(codec, "the data ends before the image does");
  }
  memcpy(into, state->bytes + state->position, count);
  state->position += count;
}

static void give(png_structp codec, png_bytep from, size_t count) {
  png_state *state = png_get_io_ptr(codec);
  if (count > state->capacity - state->count) {
    size_t capacity = (state->capacity + count) * 2;
    uint8_t *grown = realloc(state->output, capacity);
    if (grown == NULL) png_error(codec, "out of memory");
    state->output = grown;
    state->capacity = capacity;
  }
  memcpy(state->output + state->count, from, count);
  state->count += count;
}

static void flush(png_structp codec) { (void)codec; }

int peco_png_decode(const uint8_t *bytes, size_t count, int image_width, int image_height, int x, int y,
                    int width, int height, uint8_t *pixels, size_t bytes_per_row, peco_png_report *report) {
  memset(report, 0, sizeof *report);
  png_state state = {.bytes = bytes, .count = count, .report = report};
  png_state *volatile kept = &state;
  png_structp codec = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, leave, note);
  png_infop info = codec ? png_create_info_struct(codec) : NULL;
  if (info == NULL) {
    png_destroy_read_struct(&codec, NULL, NULL);
    snprintf(report->message, sizeof report->message, "out of memory");
    return -1;
  }
  if (setjmp(png_jmpbuf(codec))) {
    png_destroy_read_struct(&codec, &info, NULL);
    free(kept->scratch);
    return -1;
  }
  png_set_read_fn(codec, &state, take);
  png_set_user_limits(codec, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // the caller has judged the size
  // Data may be stored in more bytes than its pixels: it is read piece by piece. The others that could need memory go by
  // unread.
  png_set_chunk_malloc_max(codec, 0);
  // Texts, profiles and EXIF are not wanted here, and one that claims to have gigabytes would get the memory for them.
  png_set_keep_unknown_chunks(codec, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(codec, info);
  // From here on a wrong sum is a warning, as for Pillow: the compressed data has a sum of its own, which must be right.
  png_set_crc_action(codec, PNG_CRC_WARN_USE, PNG_CRC_WARN_DISCARD);
  if (png_get_image_width(codec, info) != (png_uint_32)image_width ||
      png_get_image_height(codec, info) != (png_uint_32)image_height || x < 0 || y < 0 || width <= 0 ||
      height <= 0 || x > image_width - width || y > image_height - height) {
    png_error(codec, "the region is outside the image");
  }
  png_set_expand(codec);
  png_set_strip_16(codec);
  png_set_strip_alpha(codec);
  png_set_gray_to_rgb(codec);
  int passes = png_set_interlace_handling(codec);
  png_read_update_info(codec, info);
  size_t full_row = png_get_rowbytes(codec, info);
  if (full_row != (size_t)image_width * 3) png_error(codec, "unknown color type");

  if (passes == 1) {
    // Rows come one by one: only those asked for are kept, and nothing after them is read.
    int direct = width == image_width;
    if (!direct || y > 0) {
      state.scratch = malloc(full_row);
      if (state.scratch == NULL) png_error(codec, "out of memory");
    }
    for (int line = 0; line < y; line++) png_read_row(codec, state.scratch, NULL);
    for (int line = 0; line < height; line++) {
      uint8_t *to = pixels + (size_t)line * bytes_per_row;
      png_read_row(codec, direct ? to : state.scratch, NULL);
      if (!direct) memcpy(to, state.scratch + (size_t)x * 3, (size_t)width * 3);
    }
  } else {
    state.scratch = malloc(full_row * (size_t)image_height);
    if (state.scratch == NULL) png_error(codec, "out of memory");
    for (int pass = 0; pass < passes; pass++) {
      for (int line = 0; line < image_height; line++) {
        png_read_row(codec, state.scratch + (size_t)line * full_row, NULL);
      }
    }
    for (int line = 0; line < height; line++) {
      memcpy(pixels + (size_t)line * bytes_per_row,
             state.scratch + (size_t)(y + line) * full_row + (size_t)x * 3, (size_t)width * 3);
    }
  }
  if (y + height == image_height) png_read_end(codec, NULL);
  png_destroy_read_struct(&codec, &info, NULL);
  free(state.scratch);
  return 0;
}

int peco_png_encode(const uint8_t *pixels, int width, int height, size_t bytes_per_row, uint8_t **bytes,
                    size_t *count, peco_png_report *report) {
  memset(report, 0, sizeof *report);
  png_state state = {.report = report};
  png_state *volatile kept = &state;
  png_structp codec = png_create_write_struct(PNG_LIBPNG_VER_STRING, &state, leave, note);
  png_infop info = codec ? png_create_info_struct(codec) : NULL;
  if (info == NULL) {
    png_destroy_write_struct(&codec, NULL);
    snprintf(report->message, sizeof report->message, "out of memory");
    return -1;
  }
  if (setjmp(png_jmpbuf(codec))) {
    png_destroy_write_struct(&codec, &info);
    free(kept->output);
    return -1;
  }
  png_set_write_fn(codec, &state, give, flush);
  png_set_user_limits(codec, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_IHDR(codec, info, (png_uint_32)width, (png_uint_32)height, 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(codec, info);
  for (int line = 0; line < height; line++) {
    png_write_row(codec, (png_const_bytep)(pixels + (size_t)line * bytes_per_row));
  }
  png_write_end(codec, info);
  png_destroy_write_struct(&codec, &info);
  *bytes = state.output;
  *count = state.count;
  return 0;
}

void peco_png_free(uint8_t *bytes) { free(bytes); }
