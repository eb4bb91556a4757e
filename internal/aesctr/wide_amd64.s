#include "textflag.h"

// swap reverses the bytes of each half of a counter.
DATA swap<>+0(SB)/8, $0x0001020304050607
DATA swap<>+8(SB)/8, $0x08090a0b0c0d0e0f
GLOBL swap<>(SB), RODATA|NOPTR, $16

// ahead is how far the four counters of a register are from the first.
DATA ahead<>+0(SB)/8, $0
DATA ahead<>+8(SB)/8, $0
DATA ahead<>+16(SB)/8, $0
DATA ahead<>+24(SB)/8, $1
DATA ahead<>+32(SB)/8, $0
DATA ahead<>+40(SB)/8, $2
DATA ahead<>+48(SB)/8, $0
DATA ahead<>+56(SB)/8, $3
GLOBL ahead<>(SB), RODATA|NOPTR, $64

// four is what is added to go on to the next register.
DATA four<>+0(SB)/8, $0
DATA four<>+8(SB)/8, $4
GLOBL four<>(SB), RODATA|NOPTR, $16

// One round of all eight registers.
#define ROUND(key) \
	VAESENC key, Z0, Z0 \
	VAESENC key, Z1, Z1 \
	VAESENC key, Z2, Z2 \
	VAESENC key, Z3, Z3 \
	VAESENC key, Z4, Z4 \
	VAESENC key, Z5, Z5 \
	VAESENC key, Z6, Z6 \
	VAESENC key, Z7, Z7

// The next four counters, with the first round key.
#define COUNTERS(r) \
	VPSHUFB Z9, Z8, r \
	VPADDQ  Z10, Z8, Z8 \
	VPXORQ  Z16, r, r

// The last round, and 64 bytes of data.
#define LAST(r, at) \
	VAESENCLAST Z30, r, r \
	VPXORQ      at(SI), r, r \
	VMOVDQU64   r, at(DI)

// func xorWide(keys *[60]uint32, dst, src *byte, n int, high, low uint64)
// Z16 to Z30 are the round keys, Z8 counters as numbers, Z0 to Z7 what 32 counters become.
TEXT ·xorWide(SB), NOSPLIT, $0-48
	MOVQ keys+0(FP), AX
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ n+24(FP), CX
	MOVQ high+32(FP), R8
	MOVQ low+40(FP), R9
	VBROADCASTI32X4 0(AX), Z16
	VBROADCASTI32X4 16(AX), Z17
	VBROADCASTI32X4 32(AX), Z18
	VBROADCASTI32X4 48(AX), Z19
	VBROADCASTI32X4 64(AX), Z20
	VBROADCASTI32X4 80(AX), Z21
	VBROADCASTI32X4 96(AX), Z22
	VBROADCASTI32X4 112(AX), Z23
	VBROADCASTI32X4 128(AX), Z24
	VBROADCASTI32X4 144(AX), Z25
	VBROADCASTI32X4 160(AX), Z26
	VBROADCASTI32X4 176(AX), Z27
	VBROADCASTI32X4 192(AX), Z28
	VBROADCASTI32X4 208(AX), Z29
	VBROADCASTI32X4 224(AX), Z30
	VBROADCASTI32X4 swap<>(SB), Z9
	VBROADCASTI32X4 four<>(SB), Z10
	MOVQ            R8, X8
	MOVQ            R9, X11
	PUNPCKLQDQ      X11, X8
	VSHUFI32X4      $0, Z8, Z8, Z8
	VPADDQ          ahead<>(SB), Z8, Z8

loop:
	COUNTERS(Z0)
	COUNTERS(Z1)
	COUNTERS(Z2)
	COUNTERS(Z3)
	COUNTERS(Z4)
	COUNTERS(Z5)
	COUNTERS(Z6)
	COUNTERS(Z7)
	ROUND(Z17)
	ROUND(Z18)
	ROUND(Z19)
	ROUND(Z20)
	ROUND(Z21)
	ROUND(Z22)
	ROUND(Z23)
	ROUND(Z24)
	ROUND(Z25)
	ROUND(Z26)
	ROUND(Z27)
	ROUND(Z28)
	ROUND(Z29)
	LAST(Z0, 0)
	LAST(Z1, 64)
	LAST(Z2, 128)
	LAST(Z3, 192)
	LAST(Z4, 256)
	LAST(Z5, 320)
	LAST(Z6, 384)
	LAST(Z7, 448)
	ADDQ $512, SI
	ADDQ $512, DI
	DECQ CX
	JNZ  loop
	VZEROUPPER
	RET

// func subWord(w uint32) uint32
// In a block whose columns are all the same the last round moves nothing.
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL       w+0(FP), AX
	MOVQ       AX, X0
	PSHUFD     $0, X0, X0
	PXOR       X1, X1
	AESENCLAST X1, X0
	MOVQ       X0, AX
	MOVL       AX, ret+8(FP)
	RET
