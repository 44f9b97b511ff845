"""A simulated world in virtual time: one seed decides a night of sets, timings, faults and crashes.

``script`` says what a seed brings; ``service`` is the generation service and ``calls`` the network before it; ``disk``,
``database`` and ``pictures`` stand for the machine, of which ``process`` is the part that dies; ``promises`` are what
must hold after every step; ``night`` spends it all.
"""
