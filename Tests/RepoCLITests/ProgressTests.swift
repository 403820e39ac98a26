import Testing

@testable import RepoCLI

@Suite("Progress")
struct ProgressTests {
    @Test func aLineSaysHowFarHowFastAndHowLong() {
        var sample = ProgressSample(done: 100 << 20, total: 400 << 20)
        sample.files = 4711
        #expect(
            sample.line(seconds: 10) == "100.0 MiB of 400.0 MiB, 4,711 files, 10.0 MiB/s, about 30.0 s left")
        sample.errors = 2
        #expect(sample.line(seconds: 10).hasSuffix(", 2 not readable"))
    }

    @Test func anEstimateThatWasTooLowIsNotShown() {
        let sample = ProgressSample(done: 500, total: 400)
        #expect(sample.line(seconds: 10) == "500 B, 50 B/s")
        #expect(sample.fraction == 0.999)
        #expect(ProgressSample(done: 5).fraction == nil)
        #expect(ProgressSample(done: 5, total: 0).fraction == nil)
    }

    @Test(arguments: [20, 40, 80, 200])
    func aBarStaysWithinTheTerminal(_ width: Int) {
        var sample = ProgressSample(done: 100 << 20, total: 400 << 20)
        sample.current = Array(
            "/srv/a/very/long/path/that/does/not/fit/on/a/line/of/eighty/columns/at/all".utf8)
        let bar = ProgressBar.render("uploads", sample, 10, width: width, colour: false)
        #expect(bar.count < max(width, 24))
        #expect(bar.hasPrefix("[#####---------------]"))
        #expect(ProgressBar.render("uploads", sample, 10, width: 80, colour: true).contains("\u{1B}[32m"))
        #expect(!bar.contains("\u{1B}"))
    }

    @Test func namesCannotMoveTheCursor() {
        var sample = ProgressSample(done: 1)
        sample.current = Array("a\u{1B}[2Jb\r".utf8)
        #expect(!ProgressBar.render("x", sample, 1, width: 200, colour: false).contains("\u{1B}"))
    }

    @Test func nothingIsShownWhereNobodyAsked() throws {
        let session = try CommandSession()
        for option in ["--quiet", "--json"] {
            let outcome = session.run("snapshot", "stdin", "--name", "a", option, input: [1])
            #expect(outcome.errors.isEmpty)
            #expect(outcome.lines.count == 1)
        }
    }

    @Test(arguments: [
        (0.0001, "1 ms"), (0.25, "250 ms"), (2.14, "2.1 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"),
    ])
    func secondsReadWell(_ seconds: Double, _ text: String) {
        #expect(NumberText.seconds(seconds) == text)
    }

    @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")])
    func numbersAreGrouped(_ number: UInt64, _ text: String) { #expect(NumberText.grouped(number) == text) }
}
