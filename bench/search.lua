-- Searches for wrk. Arguments: the Authorization header, a path, and a file with one JSON body on each line, which take
-- turns. Prints one line of JSON; times are microseconds.

local bodies, turn, headers, path = {}, 0, {}, nil

function init(arguments)
   headers["Authorization"] = arguments[1]
   headers["Content-Type"] = "application/json"
   path = arguments[2]
   for line in io.lines(arguments[3]) do bodies[#bodies + 1] = line end
end

function request()
   turn = turn + 1
   return wrk.format("POST", path, headers, bodies[turn % #bodies + 1])
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format('{"requests":%d,"duration":%d,"failed":%d,"p50":%d,"p99":%d}\n',
      summary.requests, summary.duration,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      latency:percentile(50), latency:percentile(99)))
end
