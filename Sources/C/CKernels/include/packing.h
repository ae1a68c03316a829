// The right matrix of a product of bfloat16, k × n, as kernels with instructions for it read it: panels of 64 columns, in
// each the rows two by two, and the two numbers of a column side by side. Rows are filled up with zeros to a multiple of
// PECO_PANEL_ROWS, columns to a multiple of PECO_PANEL_COLUMNS.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { PECO_PANEL_COLUMNS = 64, PECO_PANEL_ROWS = 32 };

/// Packs `rows` rows of a matrix, and zeros for those up to `padded`, which is even.
///
/// pairs: where the first of these rows goes in the first panel; `panel` is from panel to panel, in pairs.
void peco_pack_rows(
    uint32_t *pairs, size_t panel, const float *b, size_t stride, size_t rows, size_t padded, size_t columns);
/// As peco_pack_rows, of bfloat16.
void peco_pack_rows_bfloat16(
    uint32_t *pairs, size_t panel, const uint16_t *b, size_t stride, size_t rows, size_t padded, size_t columns);
/// Packs a panel of a matrix that is stored as its transpose: `columns` stored rows, PECO_PANEL_COLUMNS at most, of `rows`
/// elements.
void peco_pack_transposed(uint32_t *pairs, const float *b, size_t stride, size_t rows, size_t columns);
/// y[j, i] = x[i, j] for `rows` rows i and `columns` columns j; rows of x and y are so many elements apart.
void peco_transpose_bfloat16(
    uint16_t *y, size_t y_stride, const uint16_t *x, size_t x_stride, size_t rows, size_t columns);
