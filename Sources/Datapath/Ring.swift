internal import Synchronization

/// Moves values from one thread to one other; neither waits. Values that cannot be copied are moved in and moved out.
@safe
package final class Ring<Element: ~Copyable & Sendable>: @unchecked Sendable {
    private let storage: UnsafeMutablePointer<Element>
    private let mask: Int
    // Numbers that only grow; each has one writer
    private let taken = Atomic<Int>(0)
    private let given = Atomic<Int>(0)

    /// Room for `capacity` elements, rounded up to a power of two.
    package init(capacity: Int) {
        var size = 2
        while size < min(capacity, 1 << 20) { size *= 2 }
        mask = size - 1
        unsafe storage = .allocate(capacity: size)
    }

    deinit {
        while let element = pop() { _ = consume element }
        unsafe storage.deallocate()
    }

    /// By the producer: gives the element back when the ring is full.
    package func push(_ element: consuming Element) -> Element? {
        let end = given.load(ordering: .relaxed)
        guard end &- taken.load(ordering: .acquiring) <= mask else { return element }
        unsafe (storage + (end & mask)).initialize(to: element)
        given.store(end &+ 1, ordering: .releasing)
        return nil
    }

    /// By the consumer: nil when the ring is empty.
    package func pop() -> Element? {
        let begin = taken.load(ordering: .relaxed)
        guard begin != given.load(ordering: .acquiring) else { return nil }
        let element = unsafe (storage + (begin & mask)).move()
        taken.store(begin &+ 1, ordering: .releasing)
        return element
    }

    /// Elements inside; exact for neither side while the other works.
    package var count: Int { given.load(ordering: .acquiring) &- taken.load(ordering: .acquiring) }
    package var isEmpty: Bool { count <= 0 }
    /// Elements that still fit, at least, seen from the producer.
    package var room: Int { mask &+ 1 &- count }
}
