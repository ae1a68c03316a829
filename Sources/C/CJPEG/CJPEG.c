#include "CJPEG.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

typedef struct {
  struct jpeg_error_mgr manager;
  jmp_buf escape;
  peco_jpeg_report *report;
} error_state;

static void leave(j_common_ptr codec) {
  error_state *state = (error_state *)codec->err;
  char text[JMSG_LENGTH_MAX];
  state->manager.format_message(codec, text);
  snprintf(state->report->message, sizeof state->report->message, "%s", text);
  longjmp(state->escape, 1);
}

static void note(j_common_ptr codec, int level) {
  if (level >= 0) return;  // traces
  error_state *state = (error_state *)codec->err;
  if (codec->err->msg_code == JWRN_JPEG_EOF) state->report->truncated = 1;
  if (state->report->warnings++ == 0) {
    char text[JMSG_LENGTH_MAX];
    state->manager.format_message(codec, text);
    snprintf(state->report->message, sizeof state->report->message, "%s", text);
  }
}

// A progressive image of a few kilobytes could go over all of its pixels thousands of times. Encoders need some ten scans.
static const int most_scans = 100;

static void watch(j_common_ptr codec) {
  if (((j_decompress_ptr)codec)->input_scan_number <= most_scans) return;
  error_state *state = (error_state *)codec->err;
  snprintf(state->report->message, sizeof state->report->message, "more than %d scans", most_scans);
  longjmp(state->escape, 1);
}

static void stay_silent(j_common_ptr codec) { (void)codec; }

static struct jpeg_error_mgr *errors_into(error_state *state, peco_jpeg_report *report) {
  memset(report, 0, sizeof *report);
  state->report = report;
  jpeg_std_error(&state->manager);
  state->manager.error_exit = leave;
  state->manager.emit_message = note;
  state->manager.output_message = stay_silent;
  return &state->manager;
}

static int color_space(J_COLOR_SPACE space) {
  switch (space) {
    case JCS_GRAYSCALE: return PECO_JPEG_GRAY;
    case JCS_RGB: return PECO_JPEG_RGB;
    case JCS_YCbCr: return PECO_JPEG_YCC;
    case JCS_CMYK: return PECO_JPEG_CMYK;
    case JCS_YCCK: return PECO_JPEG_YCCK;
    default: return PECO_JPEG_OTHER;
  }
}

int peco_jpeg_read_header(const uint8_t *bytes, size_t count, peco_jpeg_header *header,
                          peco_jpeg_report *report) {
  struct jpeg_decompress_struct codec;
  error_state state;
  codec.err = errors_into(&state, report);
  if (setjmp(state.escape)) {
    jpeg_destroy_decompress(&codec);
    return -1;
  }
  jpeg_create_decompress(&codec);
  jpeg_mem_src(&codec, bytes, count);
  jpeg_read_header(&codec, TRUE);
  header->width = (int)codec.image_width;
  header->height = (int)codec.image_height;
  header->components = codec.num_components;
  header->color_space = color_space(codec.jpeg_color_space);
  jpeg_destroy_decompress(&codec);
  return 0;
}

int peco_jpeg_scaled(int size, int denominator) { return (size + denominator - 1) / denominator; }

// a * b / 255, rounded, as Pillow computes it.
static inline int multiply(int a, int b) {
  int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

// CMYK in JPEG is stored inverted, as Adobe does; like Pillow we take that for granted.
static void cmyk_to_rgb(const uint8_t *from, uint8_t *to, int width) {
  for (int x = 0; x < width; x++, from += 4, to += 3) {
    int light = from[3];
    for (int c = 0; c < 3; c++) to[c] = (uint8_t)(light - multiply(255 - from[c], light));
  }
}

int peco_jpeg_decode(const uint8_t *bytes, size_t count, int denominator, int x, int y, int width,
                     int height, uint8_t *pixels, size_t bytes_per_row, peco_jpeg_report *report) {
  struct jpeg_decompress_struct codec;
  error_state state;
  codec.err = errors_into(&state, report);
  if (setjmp(state.escape)) {
    jpeg_destroy_decompress(&codec);
    return -1;
  }
  jpeg_create_decompress(&codec);
  jpeg_mem_src(&codec, bytes, count);
  jpeg_read_header(&codec, TRUE);
  struct jpeg_progress_mgr progress = {.progress_monitor = watch};
  codec.progress = &progress;
  codec.scale_num = 1;
  codec.scale_denom = (unsigned)denominator;
  int space = color_space(codec.jpeg_color_space);
  if (space == PECO_JPEG_OTHER) {
    snprintf(report->message, sizeof report->message, "unknown color space of %d components",
             codec.num_components);
    jpeg_destroy_decompress(&codec);
    return -1;
  }
  int four = space == PECO_JPEG_CMYK || space == PECO_JPEG_YCCK;
  codec.out_color_space = four ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&codec);
  int full_width = (int)codec.output_width, full_height = (int)codec.output_height;
  if (x < 0 || y < 0 || width <= 0 || height <= 0 || x > full_width - width || y > full_height - height) {
    snprintf(report->message, sizeof report->message, "the region is outside the image");
    jpeg_destroy_decompress(&codec);
    return -1;
  }

  // Chroma upsampling looks at the neighboring samples, and a cropped decoder takes its own edge for the
  // image's: a margin on both sides keeps the pixels those of the whole image.
  const int margin = 16;
  JDIMENSION left = x > margin ? (JDIMENSION)(x - margin) : 0;
  int right = x + width + margin < full_width ? x + width + margin : full_width;
  JDIMENSION span = (JDIMENSION)right - left;
  if (span < (JDIMENSION)full_width) jpeg_crop_scanline(&codec, &left, &span);

  int channels = codec.output_components;
  size_t offset = (size_t)(x - (int)left) * (size_t)channels;
  JSAMPARRAY row = (*codec.mem->alloc_sarray)((j_common_ptr)&codec, JPOOL_IMAGE,
                                              codec.output_width * (JDIMENSION)channels, 1);
  if (y > 0) {
    // The skip itself upsamples nothing, so the first row after it would lack its upper neighbor.
    int skipped = y > margin ? y - margin : 0;
    if (skipped > 0) jpeg_skip_scanlines(&codec, (JDIMENSION)skipped);
    while ((int)codec.output_scanline < y) jpeg_read_scanlines(&codec, row, 1);
  }
  int direct = !four && (int)codec.output_width == width;
  for (int line = 0; line < height; line++) {
    uint8_t *to = pixels + (size_t)line * bytes_per_row;
    if (direct) {
      JSAMPROW target = to;
      jpeg_read_scanlines(&codec, &target, 1);
      continue;
    }
    jpeg_read_scanlines(&codec, row, 1);
    if (four) {
      cmyk_to_rgb(row[0] + offset, to, width);
    } else {
      memcpy(to, row[0] + offset, (size_t)width * 3);
    }
  }
  // Reading on to the end marker only pays when the whole image was asked for.
  if (codec.output_scanline == codec.output_height) jpeg_finish_decompress(&codec);
  jpeg_destroy_decompress(&codec);
  return 0;
}

int peco_jpeg_encode(const uint8_t *pixels, int width, int height, size_t bytes_per_row, int quality,
                     int chroma_halved, uint8_t **bytes, size_t *count, peco_jpeg_report *report) {
  struct jpeg_compress_struct codec;
  error_state state;
  // Kept outside this frame: what a longjmp leaves of locals that changed since setjmp is undefined.
  struct {
    unsigned char *memory;
    unsigned long size;
  } *output = calloc(1, sizeof *output);
  if (output == NULL) {
    snprintf(report->message, sizeof report->message, "out of memory");
    return -1;
  }
  codec.err = errors_into(&state, report);
  if (setjmp(state.escape)) {
    jpeg_destroy_compress(&codec);
    free(output->memory);
    free(output);
    return -1;
  }
  jpeg_create_compress(&codec);
  jpeg_mem_dest(&codec, &output->memory, &output->size);
  codec.image_width = (JDIMENSION)width;
  codec.image_height = (JDIMENSION)height;
  codec.input_components = 3;
  codec.in_color_space = JCS_RGB;
  jpeg_set_defaults(&codec);
  jpeg_set_quality(&codec, quality, TRUE);
  codec.comp_info[0].h_samp_factor = codec.comp_info[0].v_samp_factor = chroma_halved ? 2 : 1;
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < codec.image_height) {
    JSAMPROW row = (JSAMPROW)(pixels + (size_t)codec.next_scanline * bytes_per_row);
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  *bytes = output->memory;
  *count = output->size;
  free(output);
  return 0;
}

void peco_jpeg_free(uint8_t *bytes) { free(bytes); }
