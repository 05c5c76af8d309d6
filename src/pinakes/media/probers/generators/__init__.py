"""How each generator writes down what it did. A reader takes texts by lower-case name, and answers None to others'."""
