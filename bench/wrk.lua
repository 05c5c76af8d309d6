-- One operation for wrk. Arguments: the Authorization header, a number that makes this run's choices its own, the
-- operation, and a file of what there is: on each line a name and then words, such as the ids of collections.
-- Prints one line of JSON; times are microseconds.

local operation, known, turn = nil, {}, 0
local headers = {}

local function any(name)
   local words = known[name]
   return words[math.random(#words)]
end

local function get(path) return wrk.format("GET", path, headers) end

local function send(method, path, body) return wrk.format(method, path, headers, body) end

local function some(count)
   local ids = {}
   for n = 1, count do ids[n] = any("assets") end
   return '{"assetIds":["' .. table.concat(ids, '","') .. '"]}'
end

-- `remove` with the number of an `add` before it sends the same, in the same order.
local function members(method)
   return function() return send(method, "/v1/collections/" .. any("collections") .. "/assets", some(49)) end
end

local operations = {
   get = function() return get("/v1/collections/" .. any("collections")) end,
   list = function() return get("/v1/collections?pageSize=100") end,
   create = function()
      turn = turn + 1
      return send("POST", "/v1/collections", '{"name":"Collection ' .. turn .. '"}')
   end,
   add = members("PUT"),
   remove = members("DELETE"),
   first = function() return get(any("first")) end,
   last = function() return get(any("last")) end,
   bulk = function() return send("POST", "/v1/assets/get-bulk", some(200)) end,
   thumbnail = function() return get(any("thumbnails")) end,
   search = function() return send("POST", "/v1/search/assets", '{"query":"' .. any("words") .. ' ","limit":20}') end,
   trash = function()
      turn = turn + 1
      local shared = known.shared
      local body = '{"assetIds":["' .. shared[math.floor((turn - 1) / 2) % #shared + 1] .. '"]}'
      if turn % 2 == 1 then return send("DELETE", "/v1/assets", body) end
      return send("POST", "/v1/assets/restore", body)
   end,
}

function init(arguments)
   headers["Authorization"] = arguments[1]
   headers["Content-Type"] = "application/json"
   math.randomseed(tonumber(arguments[2]))
   operation = operations[arguments[3]]
   for line in io.lines(arguments[4]) do
      local words = {}
      for word in line:gmatch("%S+") do words[#words + 1] = word end
      known[table.remove(words, 1)] = words
   end
end

function request() return operation() end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format('{"requests":%d,"duration":%d,"failed":%d,"p50":%d,"p99":%d,"longest":%d}\n',
      summary.requests, summary.duration,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      latency:percentile(50), latency:percentile(99), latency.max))
end
