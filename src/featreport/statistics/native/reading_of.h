/* The part of `reading.c` that is compiled for each type of values: REAL, the integer BITS as wide, NAME(…).
 *
 * Values are read as their bits: ordered as integers, they give extrema, zeros, near-zeros and the presence of NaN or
 * infinity in arithmetic that vectorises and is exact. Moments are float64 sums of deviations from `shift`, a value of
 * the channel itself.
 */

INLINE BITS NAME(bits_of)(REAL value)
{
    BITS bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The value whose bits, made an ordered integer, are `key`. */
INLINE double NAME(value_of)(BITS key)
{
    BITS bits = key ^ ((key >> (8 * sizeof(BITS) - 1)) & ALL_BITS);
    REAL value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Read one channel value by value, from a given shift. */
static Found NAME(slowly)(const Reading *job, const REAL *values, int64_t j, double shift)
{
    Found found = {.shift = shift, .low = INFINITY, .high = -INFINITY, .peak = -1.0, .image = -1.0};
    for (int64_t i = 0; i < job->n; i++) {
        double loud = -1.0, part = 0.0, before = found.count;
        int64_t strays = 0;
        for (int64_t k = 0; k < job->p; k++) {
            double value = values[i * job->image + k * job->position], size = fabs(value);
            if (isfinite(value)) {
                double off = value - shift;
                found.count++;
                part += off;
                found.square += off * off;
                found.magnitude += size;
                found.low = value < found.low ? value : found.low;
                found.high = value > found.high ? value : found.high;
                loud = size > loud ? size : loud;
                found.zeros += value == 0.0;
                found.near += size <= job->near;
                found.bound += value >= job->upper;
            } else {
                strays++;
                found.nans += isnan(value) != 0;
                found.ups += value == INFINITY;
                found.downs += value == -INFINITY;
            }
        }
        found.total += part;
        found.fired += strays > 0 || loud > job->dead;
        if (job->sums)
            job->sums[i * job->sums_image + j * job->sums_channel] = part + shift * (found.count - before);
        if (loud > found.peak) {
            found.peak = loud;
            found.image = (double)(job->first + i);
        }
    }
    return found;
}

/* Read one channel value by value, where some are not finite or its first value was a poor shift. */
static void NAME(carefully)(const Reading *job, int64_t j)
{
    const REAL *values = (const REAL *)job->values + j * job->channel;
    double shift = 0.0;
    for (int64_t index = 0; index < job->n * job->p; index++) {
        double value = values[index / job->p * job->image + index % job->p * job->position];
        if (isfinite(value)) {
            shift = value;
            break;
        }
    }
    Found found = NAME(slowly)(job, values, j, shift);
    double mean = 0.0, spread = 0.0;
    if (found.count > 0 && work_out(&found, &mean, &spread)) {
        found = NAME(slowly)(job, values, j, isfinite(mean) ? mean : 0.0); /* none: the deviations overflowed */
        work_out(&found, &mean, &spread);
    }
    join_column(job->table + j * job->table_column, job->table_field, &found, mean, spread);
}

/* All images of some channels, `start` the first of them, were read: join what was found. */
static void NAME(finish)(const Reading *job, Keep keep, int64_t start)
{
    for (int64_t j = 0; j < keep.count; j++) {
        double mean, spread;
        Found found = {.count = (double)job->n * (double)job->p, .zeros = KEPT(keep, NONE, j),
                       .near = KEPT(keep, FEW, j), .fired = KEPT(keep, FIRES, j), .bound = KEPT(keep, AT_BOUND, j),
                       .total = KEPT(keep, TOTAL, j), .square = KEPT(keep, SQUARE, j),
                       .magnitude = KEPT(keep, SIZE, j), .shift = KEPT(keep, SHIFT, j),
                       .low = KEPT(keep, BOTTOM, j), .high = KEPT(keep, TOP, j),
                       .peak = KEPT(keep, LOUD, j), .image = KEPT(keep, WHERE, j)};
        if (!isfinite(found.magnitude) || work_out(&found, &mean, &spread))
            NAME(carefully)(job, start + j);
        else
            join_column(job->table + (start + j) * job->table_column, job->table_field, &found, mean, spread);
    }
}

/* Note the cells of the sampled values of some channels of an image, while they are near. */
static void NAME(take)(const Reading *job, int64_t i, int64_t start, int64_t stop)
{
    const REAL *values = (const REAL *)job->values + i * job->image;
    int16_t *found = job->found + i * job->samples;
    for (int64_t k = job->bounds[start]; k < job->bounds[stop]; k++) {
        float value = (float)values[job->channels[k] * job->channel + job->positions[k] * job->position];
        int32_t bits = bits_of_float(value);
        if (bits == INT32_MIN)
            bits = 0; /* −0 lies where 0 does */
        found[k] = isfinite(value) ? (int16_t)((((bits >> 31) + bits) >> DROPPED) + CELLS / 2) : (int16_t)CELLS;
    }
}

/* ---- positions side by side ---- */

/* What one channel of one image adds to what is kept of the channel; `low` and `high` as ordered integers. */
typedef struct {
    BITS low, high, zeros, above;
    double total, square, size;
} NAME(Row);

APART LOOSE void NAME(read_row)(const REAL *values, int64_t p, double shift, BITS near, NAME(Row) *row)
{
    LOOSE_HERE
    BITS low = ALL_BITS, high = ~ALL_BITS, zeros = 0, above = 0;
    double total = 0.0, square = 0.0, size = 0.0;
    for (int64_t k = 0; k < p; k++) {
        BITS bits = NAME(bits_of)(values[k]), magnitude = bits & ALL_BITS;
        BITS key = bits ^ ((bits >> (8 * sizeof(BITS) - 1)) & ALL_BITS);
        double value = values[k], off = value - shift;
        low = key < low ? key : low;
        high = key > high ? key : high;
        zeros += magnitude == 0;
        above += magnitude > near;
        total += off;
        square += off * off;
        size += fabs(value);
    }
    *row = (NAME(Row)){low, high, zeros, above, total, square, size};
}

/* Add it. Returns the sum of the row's values. */
INLINE double NAME(add_row)(const Reading *job, double *keep, const REAL *values, int64_t i)
{
    NAME(Row) row;
    NAME(read_row)(values, job->p, keep[SHIFT], (BITS)job->near_bits, &row);
    double least = NAME(value_of)(row.low), most = NAME(value_of)(row.high);
    keep[SIZE] += isfinite(least) && isfinite(most) ? row.size : NAN; /* NAN: some value is no number */
    keep[NONE] += (double)row.zeros;
    keep[FEW] += (double)(job->p - row.above);
    keep[TOTAL] += row.total;
    keep[SQUARE] += row.square;
    heard(keep, 1, least, most, job->dead, job->first + i);
    if (most >= job->upper) {
        BITS met = 0;
        for (int64_t k = 0; k < job->p; k++)
            met += values[k] >= job->upper;
        keep[AT_BOUND] += (double)met;
    }
    return row.total + keep[SHIFT] * (double)job->p;
}

/* Some images of some channels: of a few at a time, so that what is kept of them stays in the first-level cache. */
static void NAME(read_rows)(const Reading *job, double *flat, int64_t start, int64_t stop, int64_t from, int64_t to)
{
    const REAL *values = job->values;
    for (int64_t at = start, end; at < stop; at = end) {
        end = stop - at < FEW_ROWS ? stop : at + FEW_ROWS;
        for (int64_t j = at; j < end; j++)
            begin(flat + j * ROOM, 1, values[j * job->channel]);
        for (int64_t i = from; i < to; i++) {
            for (int64_t j = at; j < end; j++) {
                double sum = NAME(add_row)(job, flat + j * ROOM, values + i * job->image + j * job->channel, i);
                if (job->sums)
                    job->sums[i * job->sums_image + j * job->sums_channel] = sum;
            }
            if (job->samples)
                NAME(take)(job, i, at, end);
        }
    }
}

static void NAME(rows_part)(const void *given, int64_t part)
{
    const Reading *job = given;
    int64_t block = part / job->groups, group = part % job->groups;
    NAME(read_rows)(job, job->room + block * job->c * ROOM,
                    job->c * group / job->groups, job->c * (group + 1) / job->groups,
                    job->n * block / job->blocks, job->n * (block + 1) / job->blocks);
}

static void NAME(rows_end)(const void *given, int64_t part)
{
    const Reading *job = given;
    int64_t start = job->c * part / job->threads, stop = job->c * (part + 1) / job->threads;
    Keep keep = of_rows(job->room, start, stop);
    for (int64_t block = 1; block < job->blocks; block++)
        join(keep, of_rows(job->room + block * job->c * ROOM, start, stop));
    NAME(finish)(job, keep, start);
}

/* ---- channels side by side ---- */

/* Four positions of a block of channels. */
APART void NAME(four_lines)(const REAL *a, const REAL *b, const REAL *c, const REAL *d, double *restrict keep,
                             int64_t width, double near)
{
    for (int64_t j = 0; j < width; j++) {
        double v = a[j], w = b[j], x = c[j], y = d[j];
        double s = fabs(v), t = fabs(w), u = fabs(x), z = fabs(y);
        double low = keep[LEAST * BLOCK + j], high = keep[MOST * BLOCK + j], shift = keep[SHIFT * BLOCK + j];
        low = v < low ? v : low;
        high = v > high ? v : high;
        low = w < low ? w : low;
        high = w > high ? w : high;
        low = x < low ? x : low;
        high = x > high ? x : high;
        low = y < low ? y : low;
        high = y > high ? y : high;
        keep[LEAST * BLOCK + j] = low;
        keep[MOST * BLOCK + j] = high;
        keep[SIZE * BLOCK + j] += (s + t) + (u + z);
        keep[NONE * BLOCK + j] += ((v == 0.0 ? 1.0 : 0.0) + (w == 0.0 ? 1.0 : 0.0))
                                  + ((x == 0.0 ? 1.0 : 0.0) + (y == 0.0 ? 1.0 : 0.0));
        keep[FEW * BLOCK + j] += ((s <= near ? 1.0 : 0.0) + (t <= near ? 1.0 : 0.0))
                                 + ((u <= near ? 1.0 : 0.0) + (z <= near ? 1.0 : 0.0));
        v -= shift;
        w -= shift;
        x -= shift;
        y -= shift;
        keep[TOTAL * BLOCK + j] += (v + w) + (x + y);
        keep[SQUARE * BLOCK + j] += (v * v + w * w) + (x * x + y * y);
    }
}

/* One position, as `four_lines` does four. */
INLINE void NAME(one_line)(const REAL *a, double *restrict keep, int64_t width, double near)
{
    for (int64_t j = 0; j < width; j++) {
        double v = a[j], size = fabs(v), low = keep[LEAST * BLOCK + j], high = keep[MOST * BLOCK + j];
        keep[LEAST * BLOCK + j] = v < low ? v : low;
        keep[MOST * BLOCK + j] = v > high ? v : high;
        keep[SIZE * BLOCK + j] += size;
        keep[NONE * BLOCK + j] += v == 0.0 ? 1.0 : 0.0;
        keep[FEW * BLOCK + j] += size <= near ? 1.0 : 0.0;
        v -= keep[SHIFT * BLOCK + j];
        keep[TOTAL * BLOCK + j] += v;
        keep[SQUARE * BLOCK + j] += v * v;
    }
}

static void NAME(read_tile)(const Reading *job, double *keep, const REAL *values, int64_t width, int64_t p)
{
    int64_t k = 0, step = job->position;
    for (; k + 4 <= p; k += 4, values += 4 * step)
        NAME(four_lines)(values, values + step, values + 2 * step, values + 3 * step, keep, width, job->near);
    for (; k < p; k++, values += step)
        NAME(one_line)(values, keep, width, job->near);
}

/* An image was read: its extremes, whether its channels fired, its sums; how often the bound, where it was met. */
static void NAME(fold)(const Reading *job, Keep keep, const REAL *values, int64_t i, int64_t start)
{
    for (int64_t j = 0; j < keep.count; j++) {
        double least = KEPT(keep, LEAST, j), most = KEPT(keep, MOST, j), total = KEPT(keep, TOTAL, j);
        KEPT(keep, LEAST, j) = INFINITY;
        KEPT(keep, MOST, j) = -INFINITY;
        heard(keep.at + j, BLOCK, least, most, job->dead, job->first + i);
        if (job->sums)
            job->sums[i * job->sums_image + (start + j) * job->sums_channel] =
                total - KEPT(keep, WHOLE, j) + KEPT(keep, SHIFT, j) * (double)job->p;
        KEPT(keep, WHOLE, j) = total;
        if (most >= job->upper)
            for (int64_t k = 0; k < job->p; k++)
                KEPT(keep, AT_BOUND, j) += values[j + k * job->position] >= job->upper;
    }
}

/* A thread reads some positions of all its channels before the next few, so that memory is read in order, and a block
 * at a time, so that what it keeps of one stays in the first-level cache.
 */
static void NAME(columns_part)(const void *given, int64_t part)
{
    const Reading *job = given;
    int64_t wide = (job->c + BLOCK - 1) / BLOCK, block = part / job->groups, group = part % job->groups;
    int64_t start = wide * group / job->groups, stop = wide * (group + 1) / job->groups;
    double *flat = job->room + block * wide * ROOM * BLOCK;
    for (int64_t b = start; b < stop; b++) {
        Keep keep = of_block(flat, b, job->c);
        for (int64_t j = 0; j < keep.count; j++)
            begin(keep.at + j, BLOCK, ((const REAL *)job->values)[b * BLOCK + j]);
    }
    for (int64_t i = job->n * block / job->blocks; i < job->n * (block + 1) / job->blocks; i++) {
        const REAL *values = (const REAL *)job->values + i * job->image;
        for (int64_t k = 0; k < job->p; k += TILE)
            for (int64_t b = start; b < stop; b++) {
                Keep keep = of_block(flat, b, job->c);
                NAME(read_tile)(job, keep.at, values + k * job->position + b * BLOCK, keep.count,
                                job->p - k < TILE ? job->p - k : TILE);
            }
        for (int64_t b = start; b < stop; b++)
            NAME(fold)(job, of_block(flat, b, job->c), values + b * BLOCK, i, b * BLOCK);
        if (job->samples)
            NAME(take)(job, i, start * BLOCK, stop * BLOCK < job->c ? stop * BLOCK : job->c);
    }
}

static void NAME(columns_end)(const void *given, int64_t b)
{
    const Reading *job = given;
    int64_t wide = (job->c + BLOCK - 1) / BLOCK;
    Keep keep = of_block(job->room, b, job->c);
    for (int64_t block = 1; block < job->blocks; block++)
        join(keep, of_block(job->room + block * wide * ROOM * BLOCK, b, job->c));
    NAME(finish)(job, keep, b * BLOCK);
}

/* Positions or else channels lie side by side; the blocks of a channel are joined in their order. */
static void NAME(read_values)(const Reading *job)
{
    int64_t wide = (job->c + BLOCK - 1) / BLOCK, parts = job->blocks * job->groups;
    if (job->position == 1) {
        share_out(NAME(rows_part), job, parts, job->threads);
        share_out(NAME(rows_end), job, job->threads, job->threads);
    } else {
        share_out(NAME(columns_part), job, parts, job->threads);
        share_out(NAME(columns_end), job, wide, job->threads);
    }
}
