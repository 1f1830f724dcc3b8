"""Operations a machine may lack, as LLVM text: what LLVM then calls instead.

__truncsfhf2 and kin      f32 and f64 to f16, to the nearest, ties to even; f16 to f32
__aeabi_l2f and kin       64-bit integers to and from floats on 32-bit Arm, by the base calling convention
                          (Run-time ABI for the Arm Architecture, section 4.1.2)
fma                       of f64, see soft_fma.py; fmaf is in support.py
"""

from hekla.lang.link.soft_fma import FMA_TEXT
from hekla.lang.targets.seam import Target

SOFT_NAMES = ("__truncsfhf2", "__truncdfhf2", "__extendhfsf2", "fma")  # on every machine


def soft_text(target: Target) -> str:
    """Return the LLVM text for a target; each function in a section of its own, so that unused ones vanish."""
    # WebAssembly passes a half as an integer, the others in a float register
    half = "i32" if target.family == "wasm32" else "half"
    out = "  %r = zext i16 %bits to i32" if half == "i32" else "  %r = bitcast i16 %bits to half"
    into = "  %h = trunc i32 %x to i16" if half == "i32" else "  %h = bitcast half %x to i16"
    to_half = _TO_HALF.replace("OUT", out).replace("HALF", half)
    text = to_half + _FROM_HALF.replace("INTO", into).replace("HALF", half)
    if target.family == "thumb":
        text += "".join(
            _FROM_I64.replace("FLOAT", k).replace("LETTER", n) for k, n in (("float", "f"), ("double", "d"))
        )
        text += "".join(_TO_I64.replace("FLOAT", k).replace("LETTER", n).replace("WIDEN", w) for k, n, w in _WIDENINGS)
        text += _ARM_DECLARATIONS
    return text + FMA_TEXT + '\nattributes #0 = { nounwind "no-builtins" }\n'


_WIDENINGS = (("float", "f", "fpext float %x to double"), ("double", "d", "fadd double %x, -0.0"))

_TO_HALF = """
define internal i16 @hekla_to_half(i32 %x) #0 section ".text.hekla_to_half" {
  %high = lshr i32 %x, 16
  %sign = and i32 %high, 32768
  %abs = and i32 %x, 2147483647
  %shifted = lshr i32 %abs, 13
  %last = and i32 %shifted, 1
  %up = add i32 %abs, 4095
  %rounded = add i32 %up, %last
  %cut = lshr i32 %rounded, 13
  %normal = sub i32 %cut, 114688
  %value = bitcast i32 %abs to float
  %aligned = fadd float %value, 5.0e-1
  %aligned.bits = bitcast float %aligned to i32
  %small = sub i32 %aligned.bits, 1056964608
  %is.small = icmp ult i32 %abs, 947912704
  %finite = select i1 %is.small, i32 %small, i32 %normal
  %is.large = icmp uge i32 %abs, 1199566848
  %limited = select i1 %is.large, i32 31744, i32 %finite
  %payload = and i32 %shifted, 1023
  %nan = or i32 %payload, 32256
  %is.nan = icmp ugt i32 %abs, 2139095040
  %chosen = select i1 %is.nan, i32 %nan, i32 %limited
  %whole = or i32 %chosen, %sign
  %half = trunc i32 %whole to i16
  ret i16 %half
}

define HALF @__truncsfhf2(float %x) #0 section ".text.__truncsfhf2" {
  %x.bits = bitcast float %x to i32
  %bits = call i16 @hekla_to_half(i32 %x.bits) #0
OUT
  ret HALF %r
}

define HALF @__truncdfhf2(double %x) #0 section ".text.__truncdfhf2" {
  %near = fptrunc double %x to float
  %near.bits = bitcast float %near to i32
  %back = fpext float %near to double
  %x.raw = bitcast double %x to i64
  %x.abs = and i64 %x.raw, 9223372036854775807
  %back.raw = bitcast double %back to i64
  %back.abs = and i64 %back.raw, 9223372036854775807
  %too.far = icmp ugt i64 %back.abs, %x.abs
  %less = sub i32 %near.bits, 1
  %towards.zero = select i1 %too.far, i32 %less, i32 %near.bits
  %odd = or i32 %towards.zero, 1
  %inexact = fcmp one double %back, %x
  %single = select i1 %inexact, i32 %odd, i32 %near.bits
  %bits = call i16 @hekla_to_half(i32 %single) #0
OUT
  ret HALF %r
}
"""

_FROM_HALF = """
define float @__extendhfsf2(HALF %x) #0 section ".text.__extendhfsf2" {
INTO
  %wide = zext i16 %h to i32
  %high = shl i32 %wide, 16
  %sign = and i32 %high, -2147483648
  %abs = and i32 %wide, 32767
  %moved = shl i32 %abs, 13
  %tiny = bitcast i32 %moved to float
  %scaled = fmul float %tiny, 0x46F0000000000000
  %scaled.bits = bitcast float %scaled to i32
  %endless = or i32 %moved, 2139095040
  %is.endless = icmp uge i32 %abs, 31744
  %chosen = select i1 %is.endless, i32 %endless, i32 %scaled.bits
  %whole = or i32 %chosen, %sign
  %result = bitcast i32 %whole to float
  ret float %result
}
"""

# For f32 the bits below the 53 that fit a double are first gathered in one, so that f64 to f32 is the only rounding.
_FROM_I64 = """
define arm_aapcscc FLOAT @__aeabi_ul2LETTER(i64 %x) #0 section ".text.__aeabi_ul2LETTER" {
  %r = call double @hekla_from_u64_LETTER(i64 %x) #0
  %f = call FLOAT @hekla_narrow_LETTER(double %r) #0
  ret FLOAT %f
}

define arm_aapcscc FLOAT @__aeabi_l2LETTER(i64 %x) #0 section ".text.__aeabi_l2LETTER" {
  %negative = icmp slt i64 %x, 0
  %opposite = sub i64 0, %x
  %abs = select i1 %negative, i64 %opposite, i64 %x
  %d = call double @hekla_from_u64_LETTER(i64 %abs) #0
  %minus = fneg double %d
  %signed = select i1 %negative, double %minus, double %d
  %f = call FLOAT @hekla_narrow_LETTER(double %signed) #0
  ret FLOAT %f
}
"""
_ARM_DECLARATIONS = """
define internal double @hekla_from_u64_d(i64 %x) #0 section ".text.hekla_from_u64_d" {
  %upper = lshr i64 %x, 32
  %high = trunc i64 %upper to i32
  %low = trunc i64 %x to i32
  %high.d = uitofp i32 %high to double
  %low.d = uitofp i32 %low to double
  %scaled = fmul double %high.d, 0x41F0000000000000
  %sum = fadd double %scaled, %low.d
  ret double %sum
}

define internal double @hekla_from_u64_f(i64 %x) #0 section ".text.hekla_from_u64_f" {
  %rest = and i64 %x, 2047
  %some = icmp ne i64 %rest, 0
  %bit = select i1 %some, i64 2048, i64 0
  %kept = and i64 %x, -2048
  %gathered = or i64 %kept, %bit
  %large = icmp ugt i64 %x, 9007199254740991
  %chosen = select i1 %large, i64 %gathered, i64 %x
  %d = call double @hekla_from_u64_d(i64 %chosen) #0
  ret double %d
}

define internal float @hekla_narrow_f(double %x) #0 section ".text.hekla_narrow_f" {
  %f = fptrunc double %x to float
  ret float %f
}

define internal double @hekla_narrow_d(double %x) #0 section ".text.hekla_narrow_d" {
  ret double %x
}

define internal i64 @hekla_to_u64(double %x) #0 section ".text.hekla_to_u64" {
  %small = fmul double %x, 0x3DF0000000000000
  %high = call i32 @llvm.fptoui.sat.i32.f64(double %small)
  %high.d = uitofp i32 %high to double
  %scaled = fmul double %high.d, 0x41F0000000000000
  %rest = fsub double %x, %scaled
  %low = call i32 @llvm.fptoui.sat.i32.f64(double %rest)
  %high.w = zext i32 %high to i64
  %low.w = zext i32 %low to i64
  %up = shl i64 %high.w, 32
  %whole = or i64 %up, %low.w
  ret i64 %whole
}

declare i32 @llvm.fptoui.sat.i32.f64(double)
"""
_TO_I64 = """
define arm_aapcscc i64 @__aeabi_LETTER2ulz(FLOAT %x) #0 section ".text.__aeabi_LETTER2ulz" {
  %d = WIDEN
  %r = call i64 @hekla_to_u64(double %d) #0
  ret i64 %r
}

define arm_aapcscc i64 @__aeabi_LETTER2lz(FLOAT %x) #0 section ".text.__aeabi_LETTER2lz" {
  %d = WIDEN
  %negative = fcmp olt double %d, 0.0
  %minus = fneg double %d
  %abs = select i1 %negative, double %minus, double %d
  %r = call i64 @hekla_to_u64(double %abs) #0
  %opposite = sub i64 0, %r
  %signed = select i1 %negative, i64 %opposite, i64 %r
  ret i64 %signed
}
"""
