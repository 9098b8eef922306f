import Synchronization

/// How many scenarios run at once. First come, first served.
actor Slots {
    static let shared = Slots(4)

    private var free: Int
    private var waiting: [(wants: Int, turn: CheckedContinuation<Void, Never>)] = []

    init(_ count: Int) { free = count }

    func take(_ count: Int) async {
        if waiting.isEmpty, free >= count {
            free -= count
            return
        }
        await withCheckedContinuation { waiting.append((count, $0)) }
    }

    func giveBack(_ count: Int) {
        free += count
        while let first = waiting.first, free >= first.wants {
            free -= first.wants
            waiting.removeFirst()
            first.turn.resume()
        }
    }
}
