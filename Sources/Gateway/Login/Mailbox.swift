import Synchronization

/// A bounded queue from any thread to one consumer; a full one refuses (threats.md rule 7). The signal is coalesced: one wake-up per batch.
final class Mailbox<Element: Sendable>: Sendable {
    private struct Content {
        var elements: [Element] = []
        var signalled = false
    }

    private let content = Mutex(Content())
    private let capacity: Int
    private let wake: @Sendable () -> Void

    init(capacity: Int, wake: @escaping @Sendable () -> Void) {
        self.capacity = capacity
        self.wake = wake
    }

    /// Appends without waking the consumer; false when the box is full.
    func push(_ element: Element) -> Bool {
        content.withLock {
            guard $0.elements.count < capacity else { return false }
            $0.elements.append(element)
            return true
        }
    }

    /// Wakes the consumer if something is there that it was not yet told of.
    func signal() {
        let needed = content.withLock { box in
            guard !box.signalled, !box.elements.isEmpty else { return false }
            box.signalled = true
            return true
        }
        if needed { wake() }
    }

    /// Takes everything.
    func drain() -> [Element] {
        content.withLock { box in
            box.signalled = false
            defer { box.elements = [] }
            return box.elements
        }
    }

    var isEmpty: Bool { content.withLock { $0.elements.isEmpty } }
    var count: Int { content.withLock { $0.elements.count } }
}

/// Carries a value that cannot be copied, such as keys, into a task; it is taken once.
final class Handover<Value: ~Copyable & Sendable>: Sendable {
    private let value: Mutex<Value?>

    init(_ value: consuming sending Value) {
        self.value = Mutex(consume value)
    }

    func take() -> sending Value? {
        value.withLock { $0.take() }
    }
}
