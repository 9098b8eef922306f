/// What records share the lanes of the multi-buffer engine's vector registers with: those of one lane are worked on together.
package struct Lane: Sendable, Equatable {
    let number: Int

    /// Records that gain nothing by others beside them.
    package static var none: Lane { @_noLocks get { Lane(number: -1) } }
    /// Records that the engine takes one by one: none waits for others.
    static var single: Lane { @_noLocks get { Lane(number: 0) } }

    @_noLocks init(number: Int) { self.number = number }

    package var isNone: Bool { @_noLocks get { number < 0 } }
}

/// Which records of one pass are better done together. Lanes that stay empty cost as much as full ones, so a few records at the end are done alone:
/// measured with AES-256-CBC and SHA-256, a batch of one takes four times what OpenSSL does, one of sixteen a quarter.
package struct Lanes: Sendable {
    private var left = InlineArray<8, Int>(repeating: 0)

    private static var width: Int { @_noLocks get { 16 } }
    private static var fewest: Int { @_noLocks get { 6 } }

    @_noLocks package init() {}

    /// Counts a record of the pass.
    @_noLocks package mutating func add(_ lane: Lane) {
        if lane.number >= 0 { left[lane.number & 7] &+= 1 }
    }

    /// Whether the next record of this lane goes into the batch; asked once for each that was counted, after all were. Those left over come first.
    @_noLocks package mutating func takes(_ lane: Lane) -> Bool {
        guard lane.number > 0 else { return lane.number == 0 }
        let number = lane.number & 7
        let beyond = left[number] % Self.width
        if beyond > 0, beyond < Self.fewest {
            left[number] &-= 1
            return false
        }
        return true
    }
}
