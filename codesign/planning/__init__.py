"""Existing machines for a stated demand: which, how many, laid out how, at which batch.

``demand`` says what is asked, ``machine`` what is on offer, ``layouts`` how engines can lay a model
out over chips, ``lanes`` times thousands of layouts in one compiled program, ``batches`` finds the
batch of each, ``pools`` joins prefill and decode machines, ``planner`` ranks and explains.
"""
