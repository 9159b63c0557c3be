/* The compiled form of the reduction: one reading of a tensor, by the threads that torch has.
 *
 * Compiled when featreport is installed (see `build.py`), once per kind of CPU, and called by `library.py`. Sums are
 * taken in lanes where a function says so (`LOOSE`); no other rule of arithmetic is loosened.
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#define APART static __attribute__((noinline)) /* so that a loop has the registers for itself */
#define INLINE static inline __attribute__((always_inline))

/* Sums of a loop may be taken in lanes, in any order: of the function that begins with these two alone. */
#ifdef __clang__
#define LOOSE
#define LOOSE_HERE _Pragma("clang fp reassociate(on)")
#else
#define LOOSE __attribute__((optimize("associative-math", "no-signed-zeros", "no-trapping-math")))
#define LOOSE_HERE
#endif

enum { BLOCK = 128 }; /* channels that lie side by side, read at a time */
enum { DROPPED = 18, CELLS = 1 << (32 - DROPPED) }; /* as in `cells.py` */
enum { TILE = 256 };  /* positions of a block of channels, before the next block */
enum { FEW_ROWS = 64 }; /* channels whose images are read before those of the next ones */
enum { WIDE = 256 };  /* rows of a weight that a thread keeps of at a time: 32 kB */
static const double POOR = 1e6; /* the shift lies a thousand standard deviations from the mean: read the channel again */

/* The fields of a table, as `table.Field` has them. */
enum { COUNT, MEAN, SPREAD, MAGNITUDE, LOW, HIGH, ZEROS, NEAR, NANS, UPS, DOWNS, FIRED, BOUND, PEAK, IMAGE };

/* What a thread keeps of each of its channels while it reads them: ROOM numbers, of which these are used. */
enum { SHIFT, TOTAL, SQUARE, SIZE, LEAST, MOST, NONE, FEW, AT_BOUND, WHOLE, LOUD, WHERE, FIRES, BOTTOM, TOP, ROOM };

/* Where the numbers kept of some channels lie: `use` between two uses, `channel` between two channels. */
typedef struct {
    double *at;
    int64_t use, channel, count;
} Keep;
#define KEPT(keep, what, j) (keep).at[(what) * (keep).use + (j) * (keep).channel]

/* A tensor [n, c, p] to read, and where what is found goes. Steps are in values. Mirrored in `library.py`. */
typedef struct {
    const void *values;
    int64_t n, c, p;
    int64_t image, channel, position; /* steps */
    double near, dead, upper;
    int64_t near_bits;                /* `near` as the bits of the values' type */
    int64_t first;                    /* number of the first image */
    double *table;                    /* [fields, columns] */
    int64_t table_field, table_column;
    double *sums;                     /* [n, c]; NULL: not wanted */
    int64_t sums_image, sums_channel;
    const int64_t *channels, *positions, *bounds; /* the sample: [samples], [samples], [c + 1]; NULL: none */
    int16_t *found;                   /* [n, samples] */
    int64_t samples;
    int32_t *cells;                   /* counts, added to */
    int64_t blocks, groups, threads;  /* blocks of images, groups of channels; only the blocks change a last bit */
    double *room;                     /* to work in: blocks * ceil(c / BLOCK) * BLOCK * ROOM numbers */
} Reading;

/* Many float32 tensors without gaps. Mirrored in `library.py`. */
typedef struct {
    const int64_t *tensors; /* [count, 5]: address, n, c, p, column of the first channel */
    int64_t count;
    const int64_t *ends;    /* [threads + 1]: where the threads' parts end, in values of all tensors in a row */
    int64_t threads;
    double near, dead;
    int64_t near_bits;
    double *table;
    int64_t table_field, table_column;
} Readings;

/* ---- threads: those of the OpenMP library that is in the process already, torch's ---- */

typedef void (*Fork)(void (*)(void *), void *, unsigned, unsigned); /* GOMP_parallel */
typedef int (*Number)(void);

static Fork fork_team;
static Number thread_number, thread_count;

EXPORT void use_threads(void *parallel, void *number, void *count)
{
    fork_team = (Fork)parallel;
    thread_number = (Number)number;
    thread_count = (Number)count;
}

typedef struct {
    void (*work)(const void *job, int64_t part);
    const void *job;
    int64_t parts;
} Shared;

static void work_share(void *given)
{
    const Shared *shared = given;
    int64_t me = thread_number(), all = thread_count();
    for (int64_t part = shared->parts * me / all; part < shared->parts * (me + 1) / all; part++)
        shared->work(shared->job, part);
}

/* Do all parts; each thread takes neighbouring ones, as torch's own loops do. The team is torch's whole one, even where
 * some of it have nothing to do: OpenMP ends the threads that a smaller one leaves out, and the next has to start them.
 */
static void share_out(void (*work)(const void *, int64_t), const void *job, int64_t parts, int64_t threads)
{
    if (threads > 1 && parts > 1 && fork_team) {
        Shared shared = {work, job, parts};
        fork_team(work_share, &shared, (unsigned)threads, 0);
    } else {
        for (int64_t part = 0; part < parts; part++)
            work(job, part);
    }
}

/* ---- what is kept of channels ---- */

INLINE Keep of_rows(double *flat, int64_t start, int64_t stop)
{
    return (Keep){flat + start * ROOM, 1, ROOM, stop - start};
}

INLINE Keep of_block(double *flat, int64_t block, int64_t c)
{
    int64_t left = c - block * BLOCK;
    return (Keep){flat + block * ROOM * BLOCK, BLOCK, 1, left < BLOCK ? left : BLOCK};
}

INLINE void begin(double *keep, int64_t use, double shift)
{
    for (int64_t what = 0; what < ROOM; what++)
        keep[what * use] = 0.0;
    keep[SHIFT * use] = shift;
    keep[LEAST * use] = keep[BOTTOM * use] = INFINITY;
    keep[MOST * use] = keep[TOP * use] = -INFINITY;
    keep[LOUD * use] = keep[WHERE * use] = -1.0;
}

/* An image's extremes of a channel. Selected, not branched: which image is the loudest cannot be predicted. */
INLINE void heard(double *keep, int64_t use, double least, double most, double dead, int64_t image)
{
    double low = fabs(least), high = fabs(most), loud = low > high ? low : high;
    double before = keep[LOUD * use], where = keep[WHERE * use], bottom = keep[BOTTOM * use], top = keep[TOP * use];
    keep[FIRES * use] += loud > dead ? 1.0 : 0.0;
    keep[LOUD * use] = loud > before ? loud : before;
    keep[WHERE * use] = loud > before ? (double)image : where;
    keep[BOTTOM * use] = least < bottom ? least : bottom;
    keep[TOP * use] = most > top ? most : top;
}

/* Add what was kept of the next images to what was kept of those before. */
static void join(Keep keep, Keep more)
{
    static const int added[] = {TOTAL, SQUARE, SIZE, NONE, FEW, FIRES, AT_BOUND};
    for (int64_t j = 0; j < keep.count; j++) {
        for (unsigned k = 0; k < sizeof added / sizeof *added; k++)
            KEPT(keep, added[k], j) += KEPT(more, added[k], j);
        if (KEPT(more, LOUD, j) > KEPT(keep, LOUD, j)) {
            KEPT(keep, LOUD, j) = KEPT(more, LOUD, j);
            KEPT(keep, WHERE, j) = KEPT(more, WHERE, j);
        }
        if (KEPT(more, BOTTOM, j) < KEPT(keep, BOTTOM, j))
            KEPT(keep, BOTTOM, j) = KEPT(more, BOTTOM, j);
        if (KEPT(more, TOP, j) > KEPT(keep, TOP, j))
            KEPT(keep, TOP, j) = KEPT(more, TOP, j);
    }
}

typedef struct {
    double count, zeros, near, nans, ups, downs, fired, bound;
    double total, square, magnitude, shift;
    double low, high, peak, image;
} Found;

/* Work out a channel's moments; returns whether the shift was too poor for them, or their squares too large. */
static int work_out(const Found *found, double *mean, double *spread)
{
    double off = found->total / found->count;
    double rest = found->square < INFINITY ? found->square - found->total * off : INFINITY;
    *mean = found->shift + off;
    *spread = rest > 0.0 ? rest : 0.0;
    return rest == INFINITY || found->total * off > POOR * *spread;
}

/* Join what was found of a channel to its column, in the arithmetic of `table.merge`. */
static void join_column(double *column, int64_t field, const Found *found, double mean, double spread)
{
    double count = column[COUNT * field], before = column[MEAN * field], all = count + found->count;
    double weight = found->count / (all > 1.0 ? all : 1.0), gap = mean - before;
    double peak = column[PEAK * field], image = column[IMAGE * field];
    column[SPREAD * field] += spread + gap * (count * weight) * gap;
    column[MEAN * field] = before + gap * weight;
    column[COUNT * field] = all;
    column[MAGNITUDE * field] += found->magnitude;
    column[LOW * field] = found->low < column[LOW * field] ? found->low : column[LOW * field];
    column[HIGH * field] = found->high > column[HIGH * field] ? found->high : column[HIGH * field];
    column[ZEROS * field] += found->zeros;
    column[NEAR * field] += found->near;
    column[NANS * field] += found->nans;
    column[UPS * field] += found->ups;
    column[DOWNS * field] += found->downs;
    column[FIRED * field] += found->fired;
    column[BOUND * field] += found->bound;
    column[PEAK * field] = found->peak > peak ? found->peak : peak;
    column[IMAGE * field] = found->peak > peak || (found->peak == peak && found->image < image) ? found->image : image;
}

#define REAL float
#define BITS int32_t
#define ALL_BITS INT32_MAX
#define NAME(name) name##_float
#include "reading_of.h"
#undef REAL
#undef BITS
#undef ALL_BITS
#undef NAME

#define REAL double
#define BITS int64_t
#define ALL_BITS INT64_MAX
#define NAME(name) name##_double
#include "reading_of.h"

/* ---- the sample of float32 values, in cells of their leading bits (see `cells.cells_of`) ---- */

static void count_cells(const Reading *job)
{
    for (int64_t k = 0; k < job->n * job->samples; k++)
        job->cells[job->found[k]]++;
}

/* ---- many tensors ---- */

static void read_share(const void *given, int64_t part)
{
    const Readings *job = given;
    double flat[WIDE * ROOM];
    int64_t passed = 0;
    for (int64_t t = 0; t < job->count; t++) {
        const int64_t *tensor = job->tensors + 5 * t;
        const float *values = (const float *)(intptr_t)tensor[0];
        int64_t n = tensor[1], c = tensor[2], p = tensor[3], load = n * p;
        int64_t start = (job->ends[part] - passed + load - 1) / load, stop = (job->ends[part + 1] - passed + load - 1) / load;
        if (job->ends[part] < passed)
            start = 0;
        if (stop > c)
            stop = c;
        if (job->ends[part + 1] <= passed)
            stop = 0;
        for (int64_t at = start; at < stop; at += WIDE) {
            Reading one = {.values = values + at * p, .n = n, .c = stop - at < WIDE ? stop - at : WIDE, .p = p,
                           .image = c * p, .channel = p, .position = 1,
                           .near = job->near, .dead = job->dead, .upper = INFINITY, .near_bits = job->near_bits,
                           .table = job->table + (tensor[4] + at) * job->table_column,
                           .table_field = job->table_field, .table_column = job->table_column};
            Keep keep = of_rows(flat, 0, one.c);
            read_rows_float(&one, flat, 0, one.c, 0, n);
            finish_float(&one, keep, 0);
        }
        passed += c * load;
    }
}

/* ---- what is called ---- */

EXPORT void read_float(const Reading *job)
{
    read_values_float(job);
    if (job->samples)
        count_cells(job);
}

EXPORT void read_double(const Reading *job)
{
    read_values_double(job);
}

/* A channel belongs to the part that it begins in. */
EXPORT void read_many(const Readings *job)
{
    share_out(read_share, job, job->threads, job->threads);
}

EXPORT const char *built_by(void)
{
#ifdef __clang__
    return __VERSION__;
#else
    return "GCC " __VERSION__;
#endif
}

EXPORT const char *made_of(void)
{
    return SOURCES; /* the digest of these files */
}

EXPORT int64_t layout(int64_t which)
{
    const int64_t sizes[] = {sizeof(Reading), sizeof(Readings), BLOCK, ROOM};
    return sizes[which];
}
