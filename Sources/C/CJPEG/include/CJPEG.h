// JPEG in and out of memory through libjpeg-turbo. libjpeg leaves by longjmp when something is wrong; that
// stays on this side, and the caller gets a return value and a message. Nothing is global: any number of
// threads may be here at once.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define PECO_JPEG_MESSAGE 256

enum { PECO_JPEG_OTHER, PECO_JPEG_GRAY, PECO_JPEG_RGB, PECO_JPEG_YCC, PECO_JPEG_CMYK, PECO_JPEG_YCCK };

typedef struct {
  int width;
  int height;
  int components;
  int color_space;
} peco_jpeg_header;

// What a decoder had to say about data it could decode all the same.
typedef struct {
  int warnings;
  int truncated;  // the data ended before the image did
  char message[PECO_JPEG_MESSAGE];  // the error, or the first warning
} peco_jpeg_report;

// Reads the header alone. Returns 0, or -1 with the reason in the report.
int peco_jpeg_read_header(const uint8_t *bytes, size_t count, peco_jpeg_header *header,
                          peco_jpeg_report *report);

// The size of a whole image decoded at 1/denominator (1, 2, 4, 8).
int peco_jpeg_scaled(int size, int denominator);

// Decodes the rectangle (x, y, width, height) of the image scaled by 1/denominator into interleaved RGB.
// The rectangle must lie within the scaled image. Returns 0, or -1 with the reason in the report.
int peco_jpeg_decode(const uint8_t *bytes, size_t count, int denominator, int x, int y, int width,
                     int height, uint8_t *pixels, size_t bytes_per_row, peco_jpeg_report *report);

// Encodes interleaved RGB; chroma_halved chooses 4:2:0 over 4:4:4. On success *bytes is the caller's, to be
// given back by peco_jpeg_free.
int peco_jpeg_encode(const uint8_t *pixels, int width, int height, size_t bytes_per_row, int quality,
                     int chroma_halved, uint8_t **bytes, size_t *count, peco_jpeg_report *report);
void peco_jpeg_free(uint8_t *bytes);

static inline const char *peco_jpeg_message(const peco_jpeg_report *report) { return report->message; }
