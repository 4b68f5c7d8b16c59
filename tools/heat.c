#include "tools/heat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- colours ---------------------------------------------------------------------------------
 * A path through OKLab (B. Ottosson, 2020, "A perceptual color space for image processing"), given
 * by lightness, chroma and hue at a few points and drawn by straight lines between them. */

static uint8_t encode(double linear)
{
    linear = picture_clamp(linear, 0, 1);
    double value = linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055;
    return (uint8_t)(value * 255 + 0.5);
}

static rgb from_oklab(double lightness, double a, double b)
{
    double l = lightness + 0.3963377774 * a + 0.2158037573 * b;
    double m = lightness - 0.1055613458 * a - 0.0638541728 * b;
    double s = lightness - 0.0894841775 * a - 1.2914855480 * b;
    l = l * l * l, m = m * m * m, s = s * s * s;
    return (rgb){encode(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
                 encode(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
                 encode(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

void heat_colours_make(heat_colours *colours)
{
    /* lightness, chroma, hue in degrees */
    static const double path[][3] = {{0.16, 0.06, 290}, {0.34, 0.15, 310}, {0.52, 0.20, 358},
                                     {0.69, 0.20, 402}, {0.84, 0.17, 440}, {0.97, 0.10, 466}};
    const int segments = (int)(sizeof path / sizeof path[0]) - 1;
    const double radian = 3.14159265358979323846 / 180;
    for (int i = 0; i < 256; i++) {
        double position = i / 255.0 * segments;
        int k = position < segments ? (int)position : segments - 1;
        double t = position - k, at[3];
        for (int c = 0; c < 3; c++) at[c] = path[k][c] + (path[k + 1][c] - path[k][c]) * t;
        colours->at[i] =
            from_oklab(at[0], at[1] * cos(at[2] * radian), at[1] * sin(at[2] * radian));
    }
}

rgb heat_colour(const heat_colours *colours, double t)
{
    return colours->at[(int)(picture_clamp(t, 0, 1) * 255 + 0.5)];
}

/* ---- values -----------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

attn_status heat_normalise(double *values, double *scratch, size_t count, double top,
                           attn_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return attn_fail(err, ATTN_BAD_INPUT, "attention: value %zu of %zu is %g", i, count,
                             values[i]);
    memcpy(scratch, values, count * sizeof *values);
    qsort(scratch, count, sizeof *scratch, compare);
    double low = scratch[0], high = scratch[(size_t)ceil(top * (double)(count - 1))];
    /* Where nearly all cells are alike, the few others are all there is to see. */
    if (high <= low) high = scratch[count - 1];
    double range = high / 2 - low / 2; /* of halves, so that it cannot overflow */
    /* Equal but for rounding: no cell is hotter than another. */
    bool flat = range <= 1e-6 * fmax(fabs(low / 2), fabs(high / 2));
    for (size_t i = 0; i < count; i++)
        values[i] = flat ? 0 : picture_clamp((values[i] / 2 - low / 2) / range, 0, 1);
    return ATTN_OK;
}

/* Mitchell and Netravali (1988), B = C = 1/3: smooth, nearly without overshoot. */
static double mitchell(double t)
{
    t = fabs(t);
    if (t < 1) return ((7 * t - 12) * t * t + 16.0 / 3) / 6;
    if (t < 2) return (((-7.0 / 3 * t + 12) * t - 20) * t + 32.0 / 3) / 6;
    return 0;
}

static size_t cell(double position, size_t count)
{
    return position < 0 ? 0 : position >= (double)count ? count - 1 : (size_t)position;
}

double heat_at(const heat_grid *grid, double u, double v)
{
    double u0 = floor(u - 0.5), v0 = floor(v - 0.5), across[4], sum = 0;
    size_t col[4];
    for (int i = 0; i < 4; i++) {
        across[i] = mitchell(u - 0.5 - (u0 + i - 1));
        col[i] = cell(u0 + i - 1, grid->cols);
    }
    for (int j = 0; j < 4; j++) {
        const double *row = grid->values + cell(v0 + j - 1, grid->rows) * grid->cols;
        double part = 0;
        for (int i = 0; i < 4; i++) part += across[i] * row[col[i]];
        sum += mitchell(v - 0.5 - (v0 + j - 1)) * part;
    }
    return picture_clamp(sum, 0, 1);
}

/* ---- drawing ----------------------------------------------------------------------------------
 */

static double opacity(double heat)
{
    return 0.22 + 0.48 * heat;
}

void heat_overlay(picture *p, picture_rect clip, picture_region region, const heat_grid *grid,
                  const heat_colours *colours)
{
    clip = picture_clip(p, clip);
    double across = (double)grid->cols / region.width, down = (double)grid->rows / region.height;
    for (int y = clip.y; y < clip.y + clip.height; y++) {
        double v = (y + 0.5 - region.y) * down;
        if (!(v >= 0 && v < (double)grid->rows)) continue;
        for (int x = clip.x; x < clip.x + clip.width; x++) {
            double u = (x + 0.5 - region.x) * across;
            if (!(u >= 0 && u < (double)grid->cols)) continue;
            double heat = heat_at(grid, u, v);
            picture_blend(p, x, y, heat_colour(colours, heat), opacity(heat));
        }
    }
}

void heat_bar(picture *p, picture_rect rect, const heat_colours *colours, bool opaque)
{
    for (int i = 0; i < rect.width; i++) {
        double heat = rect.width > 1 ? (double)i / (rect.width - 1) : 0;
        picture_rect line = {rect.x + i, rect.y, 1, rect.height};
        if (!opaque) picture_fill(p, line, (rgb){110, 110, 110}, 1);
        picture_fill(p, line, heat_colour(colours, heat), opaque ? 1 : opacity(heat));
    }
}
