// The loops of packing.c for one number format (each_format.h).

PECO_CLONES void PECO_OF(peco_pack_rows)(
    uint32_t *restrict pairs, size_t panel, const PECO_ELEMENT *restrict b, size_t stride, size_t rows, size_t padded,
    size_t columns) {
  for (size_t r = 0; r < padded; r += 2, pairs += PECO_PANEL_COLUMNS) {
    const PECO_ELEMENT *upper = b + r * stride, *lower = upper + stride;
    uint32_t *out = pairs;
    for (size_t start = 0; start < columns; start += PECO_PANEL_COLUMNS, out += panel) {
      size_t n = columns - start < PECO_PANEL_COLUMNS ? columns - start : PECO_PANEL_COLUMNS;
      size_t j = 0;
      if (r + 1 < rows)
        for (; j < n; j++)
          out[j] = peco_narrowed(PECO_LOAD(upper[start + j])) | (uint32_t)peco_narrowed(PECO_LOAD(lower[start + j])) << 16;
      else if (r < rows)
        for (; j < n; j++) out[j] = peco_narrowed(PECO_LOAD(upper[start + j]));
      for (; j < PECO_PANEL_COLUMNS; j++) out[j] = 0;
    }
  }
}
