// Vectors of 4, 8 or 16 floats, as wide as the processor has them, and the memory that kernels work in.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>
#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512VL__)
constexpr int WIDEST = 16;
constexpr bool MANY = true;  // 32 registers
#elif defined(__AVX__)
constexpr int WIDEST = 8;
constexpr bool MANY = false;
#else
constexpr int WIDEST = 4;
#if defined(__aarch64__)
constexpr bool MANY = true;
#else
constexpr bool MANY = false;
#endif
#endif

#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

template <int L> struct Lanes;
#define LANES(N)                                                                              \
    template <> struct Lanes<N> {                                                             \
        typedef float F __attribute__((vector_size(4 * N)));                                  \
        typedef float InMemory __attribute__((vector_size(4 * N), aligned(4), may_alias));    \
        typedef int32_t I __attribute__((vector_size(4 * N)));                                \
        typedef uint8_t B __attribute__((vector_size(N), aligned(1), may_alias));             \
    };
LANES(4)
LANES(8)
LANES(16)
#undef LANES
template <int L> using Vec = typename Lanes<L>::F;

template <int L> static INLINE Vec<L> load(const float* p) {
    return *(const typename Lanes<L>::InMemory*)p;
}
template <int L> static INLINE void store(float* p, Vec<L> v) {
    *(typename Lanes<L>::InMemory*)p = v;
}
template <int L> static INLINE Vec<L> splat(float x) { return Vec<L>{} + x; }

#if defined(__AVX__)
alignas(32) static const int32_t FIRST[16] = {-1, -1, -1, -1, -1, -1, -1, -1};  // from 8 - n on: a mask of n lanes
#endif

// The first n lanes, all of them for n >= L: maps that torch owns have no room behind their last channel.
template <int L> static INLINE Vec<L> load_n(const float* p, int n) {
    if (n >= L) return load<L>(p);
#if defined(__AVX512F__) && defined(__AVX512VL__)
    if constexpr (L == 16) return (Vec<L>)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
    if constexpr (L == 8) return (Vec<L>)_mm256_maskz_loadu_ps((__mmask8)((1u << n) - 1), p);
    if constexpr (L == 4) return (Vec<L>)_mm_maskz_loadu_ps((__mmask8)((1u << n) - 1), p);
#elif defined(__AVX__)
    if constexpr (L == 8) return (Vec<L>)_mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i*)(FIRST + 8 - n)));
    if constexpr (L == 4) return (Vec<L>)_mm_maskload_ps(p, _mm_loadu_si128((const __m128i*)(FIRST + 8 - n)));
#endif
    Vec<L> v{};
    for (int i = 0; i < n; i++) v[i] = p[i];
    return v;
}
template <int L> static INLINE void store_n(float* p, Vec<L> v, int n) {
    if (n >= L) return store<L>(p, v);
#if defined(__AVX512F__) && defined(__AVX512VL__)
    if constexpr (L == 16) return _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
    if constexpr (L == 8) return _mm256_mask_storeu_ps(p, (__mmask8)((1u << n) - 1), (__m256)v);
    if constexpr (L == 4) return _mm_mask_storeu_ps(p, (__mmask8)((1u << n) - 1), (__m128)v);
#elif defined(__AVX__)
    if constexpr (L == 8)
        return _mm256_maskstore_ps(p, _mm256_loadu_si256((const __m256i*)(FIRST + 8 - n)), (__m256)v);
    if constexpr (L == 4) return _mm_maskstore_ps(p, _mm_loadu_si128((const __m128i*)(FIRST + 8 - n)), (__m128)v);
#endif
    for (int i = 0; i < n; i++) p[i] = v[i];
}

// NaN stays NaN, as in torch.
template <int L> static INLINE Vec<L> relu(Vec<L> x) { return x < Vec<L>{} ? Vec<L>{} : x; }
// The gradient behind a ReLU that read x.
template <int L> static INLINE Vec<L> passed(Vec<L> x, Vec<L> g) { return x <= Vec<L>{} ? Vec<L>{} : g; }

static INLINE int padded(int channels, int lanes) { return (channels + lanes - 1) / lanes * lanes; }

// How many lanes suit a number of channels: few are wasted, and wide vectors where that costs nothing.
static INLINE int lanes_for(int channels) {
    if (channels <= 4) return 4;
    if (WIDEST < 16 || channels <= 8) return std::min(WIDEST, 8);
    return padded(channels, 16) == padded(channels, 8) ? 16 : 8;
}

// f(lanes) with the number of lanes known to the compiler
template <class Function> static INLINE void with_lanes(int lanes, Function f) {
    if constexpr (WIDEST >= 16)
        if (lanes == 16) return f(std::integral_constant<int, 16>{});
    if constexpr (WIDEST >= 8)
        if (lanes == 8) return f(std::integral_constant<int, 8>{});
    f(std::integral_constant<int, 4>{});
}

constexpr int SLACK = 16;  // floats that may be read behind the end of memory of ours

// Memory that a thread keeps from call to call; what was in it is lost when it grows.
class Buffer {
  public:
    float* get(size_t floats) {
        if (floats + SLACK > size_) {
            free(data_);
            size_ = floats + floats / 4 + SLACK;
            data_ = (float*)aligned_alloc(64, (size_ * 4 + 63) / 64 * 64);
            if (!data_) throw std::bad_alloc();
            memset(data_, 0, size_ * 4);  // no lane holds a denormal or NaN to begin with
        }
        return data_;
    }
    ~Buffer() { free(data_); }

  private:
    float* data_ = nullptr;
    size_t size_ = 0;
};

// Many small arrays that live as long as one call.
class Heap {
  public:
    void reset() { block_ = used_ = 0; }
    template <class T> T* get(size_t count) {
        size_t bytes = (count * sizeof(T) + 4 * SLACK + 63) / 64 * 64;
        while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].second) block_++, used_ = 0;
        if (block_ == blocks_.size()) {
            size_t size = std::max(bytes, (size_t)1 << 20);
            char* fresh = (char*)aligned_alloc(64, size);
            if (!fresh) throw std::bad_alloc();
            memset(fresh, 0, size);
            blocks_.push_back({fresh, size});
            used_ = 0;
        }
        char* at = blocks_[block_].first + used_;
        used_ += bytes;
        return (T*)at;
    }
    template <class T> T* zeros(size_t count) {
        T* at = get<T>(count);
        memset((void*)at, 0, count * sizeof(T));
        return at;
    }
    ~Heap() {
        for (auto& block : blocks_) free(block.first);
    }

  private:
    std::vector<std::pair<char*, size_t>> blocks_;
    size_t block_ = 0, used_ = 0;
};
