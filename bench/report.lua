-- bench/report.lua: what the other scripts share: wrk's result as one JSON line, and an end before wrk's time is up.
local ffi = require("ffi")
ffi.cdef("int getpid(void); int kill(int pid, int number);")
local SIGINT = 2

-- Ends the run now: wrk's threads go by stop(), and its main thread, which sleeps for the whole duration, by SIGINT.
-- Only with this the duration that wrk divides by is the true one.
function finish()
    wrk.thread:stop()
    ffi.C.kill(ffi.C.getpid(), SIGINT)
    return ""
end

function read_file(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests":%d,"duration_us":%d,"bytes":%d,"refused":%d,"broken":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
        summary.requests, summary.duration, summary.bytes, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50), latency:percentile(99), latency.max))
end
