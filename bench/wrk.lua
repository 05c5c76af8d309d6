-- One operation for wrk. Arguments: the Authorization header, a number that makes this run's choices its own, the
-- operation, a file of what there is (on each line a name and then words, such as the ids of collections), the file of
-- the operations (Lua that returns a function from the tools below to a table of functions, each of which makes one
-- request), and after how many answers to stop before the time is over, or 0.
-- Prints one line of JSON; times are microseconds.

local operation, known, turn = nil, {}, 0
local headers = {}
local tools = {}

-- Words of that name, all of them, or one at random.
function tools.all(name) return known[name] end

function tools.any(name)
   local words = known[name]
   return words[math.random(#words)]
end

-- So many of them at random, as JSON strings with commas between.
function tools.some(name, count)
   local picked = {}
   for n = 1, count do picked[n] = tools.any(name) end
   return '"' .. table.concat(picked, '","') .. '"'
end

-- 1, 2, 3 and so on.
function tools.count()
   turn = turn + 1
   return turn
end

function tools.send(method, path, body) return wrk.format(method, path, headers, body) end

-- Ends wrk after so many answers, as Ctrl-C would.
local function stop_after(count)
   local ffi = require("ffi")
   ffi.cdef("int kill(int process, int signal); int getpid();")
   function response()
      count = count - 1
      if count == 0 then ffi.C.kill(ffi.C.getpid(), 2) end
   end
end

function init(arguments)
   headers["Authorization"] = arguments[1]
   headers["Content-Type"] = "application/json"
   math.randomseed(tonumber(arguments[2]))
   for line in io.lines(arguments[4]) do
      local words = {}
      for word in line:gmatch("%S+") do words[#words + 1] = word end
      known[table.remove(words, 1)] = words
   end
   operation = dofile(arguments[5])(tools)[arguments[3]]
   if tonumber(arguments[6]) > 0 then stop_after(tonumber(arguments[6])) end
end

function request() return operation() end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format('{"requests":%d,"duration":%d,"failed":%d,"p50":%d,"p99":%d,"longest":%d}\n',
      summary.requests, summary.duration,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
end
