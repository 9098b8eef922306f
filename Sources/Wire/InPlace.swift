internal import Synchronization

/// A field that keeps whatever holds it where it is: the compiler then borrows the holder by its address. Without one it copies a struct of plain words,
/// owned or not, onto the stack for every call that only reads it; on the packet path that was some hundred octets a dozen times for each packet.
/// Not for what stands in enums: of such holders Swift 6.3 makes code there that its own verifier refuses.
package struct InPlace: ~Copyable, Sendable {
    // Of atomics alone nobody may have a copy, not even for a moment
    private let mark = Atomic<UInt8>(0)

    package init() {}
}
