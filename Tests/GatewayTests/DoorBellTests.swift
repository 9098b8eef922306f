import Synchronization
import Testing

@testable import Gateway

@Suite struct DoorBellTests {
    private final class Count: Sendable {
        let value = Atomic<Int>(0)
    }

    /// A closure that is wrapped once more with every access costs a frame more each time: a million rings would overflow the stack.
    @Test("the door's bell costs the same however often it has rung (issue 5: logins per second)") func manyRings() {
        let bell = DoorBell()
        let count = Count()
        bell.ring()
        bell.attach { count.value.add(1, ordering: .relaxed) }
        for _ in 0..<1_000_000 { bell.ring() }
        #expect(count.value.load(ordering: .relaxed) == 1_000_000)
    }
}
