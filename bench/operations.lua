-- The operations as pinakes takes them, and whoever speaks its API.

return function(tools)
   local any, some, send = tools.any, tools.some, tools.send

   local function ids(list) return '{"assetIds":[' .. list .. ']}' end

   -- `remove` with the number of an `add` before it sends the same, in the same order.
   local function members(method)
      return function()
         return send(method, "/v1/collections/" .. any("collections") .. "/assets", ids(some("assets", 49)))
      end
   end

   return {
      get = function() return send("GET", "/v1/collections/" .. any("collections")) end,
      list = function() return send("GET", "/v1/collections?pageSize=100") end,
      create = function() return send("POST", "/v1/collections", '{"name":"Collection ' .. tools.count() .. '"}') end,
      add = members("PUT"),
      remove = members("DELETE"),
      first = function() return send("GET", any("first")) end,
      last = function() return send("GET", any("last")) end,
      walk = function()
         local pages = tools.all("walk")
         return send("GET", pages[(tools.count() - 1) % #pages + 1])
      end,
      bulk = function() return send("POST", "/v1/assets/get-bulk", ids(some("assets", 200))) end,
      thumbnail = function() return send("GET", any("thumbnails")) end,
      search = function()
         return send("POST", "/v1/search/assets", '{"query":"' .. any("words") .. ' ","limit":20}')
      end,
      trash = function()
         local turn, shared = tools.count(), tools.all("shared")
         local one = ids('"' .. shared[math.floor((turn - 1) / 2) % #shared + 1] .. '"')
         if turn % 2 == 1 then return send("DELETE", "/v1/assets", one) end
         return send("POST", "/v1/assets/restore", one)
      end,
   }
end
