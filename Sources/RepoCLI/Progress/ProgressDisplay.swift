import CLinux
import Glibc
import Ingest
import RepoBase

/// Shows how far a command is: a bar on a terminal, a line every half minute in a log, objects with --json --verbose,
/// nothing with --quiet. On standard error, but for JSON.
final class ProgressDisplay: Sendable {
    private enum Form {
        case bar
        case lines
        case json
    }

    private static let barMilliseconds: CInt = 200
    private static let lineMilliseconds: CInt = 30_000
    private static let jsonMilliseconds: CInt = 1000

    private let thread: WorkerThread
    /// The writing end of a pipe whose closing ends the thread at once.
    private let stopper: CInt

    /// Nil when nothing is to be shown.
    init?(_ context: CommandContext, _ title: String, _ sample: @escaping @Sendable () -> ProgressSample) {
        let form: Form
        switch (context.options.json, context.options.quiet) {
        case (true, _):
            guard context.options.verbose else { return nil }
            form = .json
        case (_, true): return nil
        default: form = context.console.errorsIsTerminal ? .bar : .lines
        }
        var ends: [CInt] = [0, 0]
        guard linux_pipe_cloexec(&ends) == 0 else { return nil }
        let reading = ends[0]
        stopper = ends[1]
        let console = context.console
        let colour = console.allowsColour
        let start = ContinuousClock.now
        thread = WorkerThread {
            defer { close(reading) }
            let pause =
                switch form {
                case .bar: Self.barMilliseconds
                case .lines: Self.lineMilliseconds
                case .json: Self.jsonMilliseconds
                }
            var hasDrawn = false
            while true {
                var waiting = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
                let ready = poll(&waiting, 1, pause)
                if ready < 0, errno == EINTR { continue }
                guard ready == 0 else { break }
                let elapsed = (ContinuousClock.now - start) / .seconds(1)
                let sample = sample()
                switch form {
                case .bar:
                    let width = Self.terminalWidth(console.errors)
                    Self.draw(
                        ProgressBar.render(title, sample, elapsed, width: width, colour: colour), console)
                    hasDrawn = true
                case .lines: console.note("\(title): \(sample.line(seconds: elapsed))")
                case .json:
                    let report = ProgressReport(title, sample, seconds: elapsed)
                    try? console.print(JSONOutput.line(report))
                }
            }
            if hasDrawn { Self.draw("", console) }
        }
    }

    /// Takes the bar away. To be called once.
    func stop() {
        close(stopper)
        thread.join()
    }

    /// Shows progress while `body` runs.
    static func during<R>(
        _ context: CommandContext, _ title: String, _ sample: @escaping @Sendable () -> ProgressSample,
        _ body: () throws -> R
    ) rethrows -> R {
        let display = ProgressDisplay(context, title, sample)
        defer { display?.stop() }
        return try body()
    }

    /// Over the line that is there.
    private static func draw(_ text: String, _ console: Console) {
        var text = "\r\(text)\u{1B}[K"
        text.withUTF8 { try? Console.write(UnsafeRawBufferPointer($0), to: console.errors) }
    }

    private static func terminalWidth(_ descriptor: CInt) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

/// One line of a terminal.
enum ProgressBar {
    private static let cells = 20

    /// At most `width` - 1 columns wide, so that the cursor stays on the line.
    static func render(
        _ title: String, _ sample: ProgressSample, _ seconds: Double, width: Int, colour: Bool
    ) -> String {
        var text = ""
        var bar = ""
        if let fraction = sample.fraction {
            let filled = Int(fraction * Double(cells))
            bar = String(repeating: "#", count: filled) + String(repeating: "-", count: cells - filled)
            text = " \(Int(fraction * 100)) %  "
        }
        text += sample.line(seconds: seconds)
        let room = width - 1 - (bar.isEmpty ? 0 : bar.count + 2) - text.count
        if !sample.current.isEmpty, room > 12 {
            let path = RawPath.describe(sample.current)
            text += "  " + (path.count > room - 2 ? "…" + path.suffix(room - 3) : path)
        } else if !title.isEmpty, bar.isEmpty {
            text = "\(title): \(text)"
        }
        let shown = String(text.prefix(max(0, width - 1 - (bar.isEmpty ? 0 : bar.count + 2))))
        if bar.isEmpty { return shown }
        return (colour ? "[\u{1B}[32m\(bar)\u{1B}[0m]" : "[\(bar)]") + shown
    }
}
