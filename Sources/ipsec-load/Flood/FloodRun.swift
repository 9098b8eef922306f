import LinuxIO
import Wire

/// Where the messages of a flood come from, and where its answers are heard.
protocol FloodOrigin: ~Copyable {
    /// Messages of one turn, at the most.
    var turn: Int { get }

    mutating func send(_ count: Int, _ book: inout FloodBook)

    /// Takes into account what has come, and waits for it until `deadline` where that is not over. Nothing is answered once the flood `isOver`.
    mutating func read(until deadline: Instant, isOver: Bool, _ book: inout FloodBook) throws(SystemError)

    /// Answers that came and that there was no room for.
    var missed: Int { get }
}

/// A flood at its pace, and what it does to the gateway.
struct FloodRun<Origin: FloodOrigin & ~Copyable>: ~Copyable {
    private var origin: Origin
    private var progress: Progress

    init(_ origin: consuming Origin, progress: Progress) {
        self.origin = origin
        self.progress = progress
    }

    mutating func run(_ book: inout FloodBook, for length: Duration) throws(SystemError) {
        let began = MonotonicClock.now
        let end = began + length
        var pace = Pace(rate: book.rate, from: began, longestBurst: 0.2)
        while !StopSignal.isRaised {
            let now = MonotonicClock.now
            if now >= end { break }
            let count = pace.take(at: now, atMost: origin.turn)
            if count > 0 { origin.send(count, &book) }
            // Who is behind does not wait
            let pause = count == origin.turn ? now : min(max(pace.next, now + .microseconds(500)), end)
            try origin.read(until: pause, isOver: false, &book)
            let shown = book
            progress.show(at: now) { shown.line }
        }
        book.elapsed = MonotonicClock.now - began
        book.skipped = pace.skipped
        // What is under way comes within a moment
        let last = MonotonicClock.now + .milliseconds(500)
        while MonotonicClock.now < last { try origin.read(until: last, isOver: true, &book) }
        book.missedAnswers = origin.missed
        progress.finish()
    }
}
